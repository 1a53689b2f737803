//! The handle that the lobby holds, its image of the store, and who leads.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use tokio::sync::watch;

use super::{
    LedgerError,
    bans::Barred,
    matches,
    records::{
        BANS, Ban, Counts, PERMISSIONS, PermissionRecord, Person, RATINGS, Rating, SAVEGAMES,
        Savegame, Sitting, Standing, rating,
    },
};
use crate::{
    accounts::{AccountId, Accounts},
    store::{Record, Store, StoreError, Table},
};

/// What the lobby remembers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(super) store: Store,
    pub(super) accounts: Accounts,
    /// Locked for a look, or for a change that is known already; never across an await or a question to the store.
    image: Arc<RwLock<Image>>,
    /// Held by who asks the store for what was touched, until the image has it; never across an await.
    reading: Arc<Mutex<()>>,
    /// That bans or permissions have changed.
    changed: watch::Sender<()>,
    /// Matches that are kept, at most.
    pub(super) kept: u64,
}

/// What is asked for often, in memory.
#[derive(Default)]
pub(super) struct Image {
    /// By game and [`Person::key`].
    boards: HashMap<String, HashMap<Vec<u8>, (Person, Standing)>>,
    /// By key, as all that follow.
    pub(super) bans: BTreeMap<Vec<u8>, Ban>,
    /// Of all of them, also of those that have ended.
    pub(super) barred: Barred,
    pub(super) masks: HashMap<AccountId, PermissionRecord>,
    /// Some of the masks do not decode: who has none is looked up in the store.
    pub(super) doubtful: bool,
    pub(super) savegames: BTreeMap<Vec<u8>, Savegame>,
    /// Tables that are there now: what they saved is not for others to resume.
    pub(super) held: HashSet<Sitting>,
}

/// One place in a game's ranking.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ranked {
    /// Who.
    pub(crate) person: Person,
    /// What they are called.
    pub(crate) name: String,
    /// What their place follows from: a highscore, a rating, or wins less losses.
    pub(crate) score: f64,
}

impl Ledger {
    /// Opens the ledger. Only reads; what does not decode is left out, and said in the log.
    pub(crate) fn open(store: Store, accounts: Accounts) -> Result<Self, LedgerError> {
        let mut image = Image::default();
        for (_, rating) in readable(store.scan(RATINGS, b""))? {
            image.take_rating(rating);
        }
        image.bans = readable(store.scan(BANS, b""))?.into_iter().collect();
        image.barred = Barred::by(image.bans.values());
        for mask in store.scan(PERMISSIONS, b"") {
            match mask {
                Ok((_, mask)) => drop(image.masks.insert(mask.account, mask)),
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!("whose permissions these are may do nothing: {error}");
                    image.doubtful = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
        image.savegames = readable(store.scan(SAVEGAMES, b""))?.into_iter().collect();
        Ok(Self {
            store,
            accounts,
            image: Arc::new(RwLock::new(image)),
            reading: Arc::default(),
            changed: watch::Sender::new(()),
            kept: matches::KEPT,
        })
    }

    /// Told when a ban or a permission has changed.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// How somebody does in a game; as a newcomer where nothing is known.
    pub(crate) fn standing(&self, game: &str, person: &Person) -> Standing {
        let image = self.image();
        let board = image.boards.get(game);
        let known = board.and_then(|board| board.get(&person.key()));
        known.map(|(_, standing)| *standing).unwrap_or_default()
    }

    /// The first `most` of a game: by highscore if it counts these, else by rating, else by wins less losses; those who
    /// are even, by name. Who has no account any more, or is not to be `shown`, is left out.
    pub(crate) fn rankings(
        &self,
        game: &str,
        counts: Counts,
        most: usize,
        shown: impl Fn(&Person) -> bool,
    ) -> Vec<Ranked> {
        let image = self.image();
        let board = image.boards.get(game);
        let people = board.into_iter().flat_map(HashMap::values);
        let mut people: Vec<(f64, Person)> = people
            .filter_map(|(person, standing)| Some((standing.rank(counts)?, person.clone())))
            .collect();
        drop(image);
        people.sort_unstable_by(|(one, _), (other, _)| other.total_cmp(one));
        // Only those who may be among the first are asked for their names: all who are even with one of them.
        let mut ranked: Vec<Ranked> = Vec::new();
        for even in people.chunk_by(|(one, _), (other, _)| one.total_cmp(other).is_eq()) {
            let before = ranked.len();
            if before >= most {
                break;
            }
            let even = even.iter().filter(|(_, person)| shown(person));
            ranked.extend(even.filter_map(|(score, person)| {
                Some(Ranked {
                    person: person.clone(),
                    name: self.name(person)?,
                    score: *score,
                })
            }));
            ranked[before..].sort_unstable_by(|one, other| one.name.cmp(&other.name));
        }
        ranked.truncate(most);
        ranked
    }

    fn name(&self, person: &Person) -> Option<String> {
        match person {
            Person::Account(id) => self.accounts.name_of(*id),
            Person::Bot(name) => Some(name.clone()),
        }
    }

    pub(super) fn image(&self) -> RwLockReadGuard<'_, Image> {
        self.image.read().expect("no panic leaves it half changed")
    }

    pub(super) fn image_mut(&self) -> RwLockWriteGuard<'_, Image> {
        self.image.write().expect("no panic leaves it half changed")
    }

    /// To be held while something changes: at its end the image is read anew. After a failure too, and when nobody
    /// waits any more: the store may know more than it could promise.
    pub(super) fn touching(&self, touched: Vec<Touched>) -> Touching<'_> {
        Touching {
            ledger: self,
            touched,
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ledger(..)")
    }
}

/// What a change may change of the image.
pub(super) enum Touched {
    Rating(String, Person),
    Ban(Vec<u8>),
    Savegame(Vec<u8>),
    Mask(AccountId),
}

/// See [`Ledger::touching`].
pub(super) struct Touching<'a> {
    ledger: &'a Ledger,
    touched: Vec<Touched>,
}

impl Drop for Touching<'_> {
    fn drop(&mut self) {
        let ledger = self.ledger;
        // One after the other, or an older state could be taken over after a newer one. Who only looks at the image does
        // not wait for the store.
        let reading = ledger.reading.lock();
        let _reading = reading.unwrap_or_else(PoisonError::into_inner);
        let touched = self.touched.drain(..);
        let seen: Vec<_> = touched.map(|one| one.anew(&ledger.store)).collect();
        let mut image = ledger.image_mut();
        let bans = seen.iter().any(|one| matches!(one, Anew::Ban(..)));
        let masks = seen.iter().any(|one| matches!(one, Anew::Mask(..)));
        for one in seen {
            image.take(one);
        }
        if bans {
            image.barred = Barred::by(image.bans.values());
        }
        drop(image);
        if bans || masks {
            ledger.changed.send_replace(());
        }
    }
}

impl Touched {
    fn anew(self, store: &Store) -> Anew {
        match self {
            Self::Rating(game, person) => {
                let seen = anew(store, RATINGS, &rating(&game, &person));
                Anew::Rating(game, person, seen)
            }
            Self::Ban(key) => Anew::Ban(anew(store, BANS, &key), key),
            Self::Savegame(key) => Anew::Savegame(anew(store, SAVEGAMES, &key), key),
            Self::Mask(account) => {
                let key = account.0.to_be_bytes();
                Anew::Mask(anew(store, PERMISSIONS, &key), account)
            }
        }
    }
}

/// What the store says of what was touched.
enum Anew {
    Rating(String, Person, Seen<Rating>),
    Ban(Seen<Ban>, Vec<u8>),
    Savegame(Seen<Savegame>, Vec<u8>),
    Mask(Seen<PermissionRecord>, AccountId),
}

impl Image {
    fn take(&mut self, anew: Anew) {
        match anew {
            Anew::Rating(_, _, Seen::There(found)) => self.take_rating(found),
            Anew::Rating(game, person, Seen::Gone) => self.drop_rating(&game, &person),
            Anew::Rating(_, _, Seen::Unknown) => {}
            Anew::Ban(seen, key) => seen.into_map(&mut self.bans, key),
            Anew::Savegame(seen, key) => seen.into_map(&mut self.savegames, key),
            Anew::Mask(Seen::There(mask), account) => drop(self.masks.insert(account, mask)),
            Anew::Mask(Seen::Gone, account) => drop(self.masks.remove(&account)),
            Anew::Mask(Seen::Unknown, _) => {}
        }
    }

    fn take_rating(&mut self, rating: Rating) {
        let board = self.boards.entry(rating.game).or_default();
        board.insert(rating.person.key(), (rating.person, rating.standing));
    }

    fn drop_rating(&mut self, game: &str, person: &Person) {
        if let Some(board) = self.boards.get_mut(game) {
            board.remove(&person.key());
        }
    }
}

/// What the store says of one key.
enum Seen<R> {
    There(R),
    Gone,
    /// It could not be asked: what was known stays.
    Unknown,
}

impl<R> Seen<R> {
    fn into_map(self, map: &mut BTreeMap<Vec<u8>, R>, key: Vec<u8>) {
        match self {
            Self::There(record) => {
                map.insert(key, record);
            }
            Self::Gone => {
                map.remove(&key);
            }
            Self::Unknown => {}
        }
    }
}

fn anew<R: Record>(store: &Store, table: Table<R>, key: &[u8]) -> Seen<R> {
    match store.get(table, key) {
        Ok(Some(record)) => Seen::There(record),
        Ok(None) | Err(StoreError::Corrupt { .. }) => Seen::Gone,
        Err(_) => Seen::Unknown,
    }
}

/// What can be read of a scan. What cannot is said in the log; only a store that cannot be read at all is an error.
pub(super) fn readable<R>(
    scan: impl Iterator<Item = Result<(Vec<u8>, R), StoreError>>,
) -> Result<Vec<(Vec<u8>, R)>, StoreError> {
    scan.filter_map(|found| match found {
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::warn!("the lobby goes on without a record: {error}");
            None
        }
        found => Some(found),
    })
    .collect()
}

/// The same for one record.
pub(super) fn readable_one<R>(
    found: Result<Option<R>, StoreError>,
) -> Result<Option<R>, StoreError> {
    match found {
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::warn!("the lobby goes on without a record: {error}");
            Ok(None)
        }
        found => found,
    }
}
