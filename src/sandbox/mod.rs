//! What the kernel is asked for directly: starting a game shut in, knowing for certain which processes are its own,
//! limits, and what this box can give of all that.
//!
//! Owns every unsafe block of process handling. Refuses policy: it never decides *when* something starts or dies.
//! It imports nothing else of ours.
//!
//! ```text
//!  spawn    argv, uid, limits ──► a process, its pipes, and the one reason when it cannot be
//!  kill     every process of a user, in one step
//!  passing  a descriptor that goes to another process over a socket
//!  identity one thread's file work as another user
//!  process  what a small supervisor does to itself, and the deaths it collects
//!  pidfd    a process that cannot be confused with a later one of the same number
//!  tree     all processes that are tied to one game, and their certain end
//!  cgroup   a version 2 folder per game: tracking, limits, `killed for memory`
//!  probe    what of this a box can do, for `longhouse doctor`
//! ```

pub mod cgroup;
pub mod identity;
pub mod kill;
pub mod passing;
pub mod pidfd;
pub mod probe;
pub mod process;
pub mod spawn;
pub mod tree;
