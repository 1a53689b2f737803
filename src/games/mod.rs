//! Table games that ship with the box: each a program of its own that speaks ggzdmod, started as `longhouse game NAME`.
