//! The handle that the lobby holds, its image of the store, and who leads.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use super::{
    LedgerError, matches,
    records::{
        BANS, Ban, Counts, Person, RATINGS, Rating, SAVEGAMES, Savegame, Sitting, Standing, rating,
    },
};
use crate::{
    accounts::Accounts,
    store::{Record, Store, StoreError, Table},
};

/// What the lobby remembers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(super) store: Store,
    pub(super) accounts: Accounts,
    /// Locked for a look, or for taking over what the store knows; never across an await.
    image: Arc<RwLock<Image>>,
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
    /// All of it.
    pub(crate) standing: Standing,
}

impl Ledger {
    /// Opens the ledger. Only reads; what does not decode is left out, and said in the log.
    pub(crate) fn open(store: Store, accounts: Accounts) -> Result<Self, LedgerError> {
        let mut image = Image::default();
        for (_, rating) in readable(store.scan(RATINGS, b""))? {
            image.take_rating(rating);
        }
        image.bans = readable(store.scan(BANS, b""))?.into_iter().collect();
        image.savegames = readable(store.scan(SAVEGAMES, b""))?.into_iter().collect();
        Ok(Self {
            store,
            accounts,
            image: Arc::new(RwLock::new(image)),
            kept: matches::KEPT,
        })
    }

    /// How somebody does in a game; as a newcomer where nothing is known.
    pub(crate) fn standing(&self, game: &str, person: &Person) -> Standing {
        let image = self.image();
        let board = image.boards.get(game);
        let known = board.and_then(|board| board.get(&person.key()));
        known.map(|(_, standing)| *standing).unwrap_or_default()
    }

    /// The first `most` of a game: by highscore if it counts these, else by rating, else by wins less losses; those who
    /// are even, by name. Who has no account any more is left out.
    pub(crate) fn rankings(&self, game: &str, counts: Counts, most: usize) -> Vec<Ranked> {
        let image = self.image();
        let board = image.boards.get(game);
        let people = board.into_iter().flat_map(HashMap::values);
        let mut ranked: Vec<Ranked> = people
            .filter_map(|(person, standing)| {
                Some(Ranked {
                    person: person.clone(),
                    name: self.name(person)?,
                    score: standing.rank(counts)?,
                    standing: *standing,
                })
            })
            .collect();
        drop(image);
        let order = |one: &Ranked, other: &Ranked| {
            let by_score = other.score.total_cmp(&one.score);
            by_score.then_with(|| one.name.cmp(&other.name))
        };
        if most < ranked.len() {
            ranked.select_nth_unstable_by(most, order);
            ranked.truncate(most);
        }
        ranked.sort_unstable_by(order);
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
}

/// See [`Ledger::touching`].
pub(super) struct Touching<'a> {
    ledger: &'a Ledger,
    touched: Vec<Touched>,
}

impl Drop for Touching<'_> {
    fn drop(&mut self) {
        let store = &self.ledger.store;
        // Locked before the store is read, or an older state could be taken over after a newer one.
        let mut image = self.ledger.image_mut();
        for touched in self.touched.drain(..) {
            match touched {
                Touched::Rating(game, person) => {
                    match anew(store, RATINGS, &rating(&game, &person)) {
                        Seen::There(found) => image.take_rating(found),
                        Seen::Gone => image.drop_rating(&game, &person),
                        Seen::Unknown => {}
                    }
                }
                Touched::Ban(key) => anew(store, BANS, &key).into_map(&mut image.bans, key),
                Touched::Savegame(key) => {
                    anew(store, SAVEGAMES, &key).into_map(&mut image.savegames, key);
                }
            }
        }
    }
}

impl Image {
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
