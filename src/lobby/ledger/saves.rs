//! Saved games: kept while their match is not reported, and resumed once.

use std::collections::BTreeMap;

use super::{
    LedgerError,
    checks::{NAME, bounded, file, text},
    handle::{Ledger, Touched, readable},
    records::{SAVEGAMES, Savegame, Sitting, saved},
};
use crate::store::StoreError;

/// Files of one table, at most: the oldest gives way.
const FILES: usize = 16;
/// Saved games of the box, at most: the oldest that no table holds gives way.
const ALL: usize = 1024;
/// Seats of one, at most.
const SEATS: usize = 64;

impl Ledger {
    /// Keeps a game; what the same table had in the same file is replaced. The table holds it from now on.
    pub(crate) async fn save(&self, savegame: Savegame) -> Result<(), LedgerError> {
        text("game's name", &savegame.game, 1, NAME)?;
        text("room's name", &savegame.sitting.room, 1, NAME)?;
        file(&savegame.file)?;
        bounded("seats of a saved game", savegame.seats.len(), SEATS)?;
        let seated = savegame.seats.iter().flat_map(|seat| &seat.name);
        for name in seated.chain(&savegame.owner) {
            text("player's name", name, 0, NAME)?;
        }
        let key = savegame.key();
        let gone = self.gives_way(&savegame.sitting, &key)?;
        self.image_mut().held.insert(savegame.sitting.clone());
        let touched = [Some(key.clone()), gone.clone()];
        let touched = touched.into_iter().flatten().map(Touched::Savegame);
        let _touching = self.touching(touched.collect());
        let work = |tx: &mut crate::store::Tx<'_>| {
            if let Some(gone) = gone {
                tx.delete(SAVEGAMES, gone)?;
            }
            tx.put(SAVEGAMES, key, &savegame)
        };
        Ok(self.store.write(work).await?)
    }

    /// Which one has to go for a new one, if any.
    fn gives_way(&self, sitting: &Sitting, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        let image = self.image();
        if image.savegames.contains_key(key) {
            return Ok(None);
        }
        let oldest = |savegames: &mut dyn Iterator<Item = (&Vec<u8>, &Savegame)>| {
            let oldest = savegames.min_by_key(|(_, savegame)| savegame.when);
            oldest.map(|(key, _)| key.clone())
        };
        let own = |(_, savegame): &(&Vec<u8>, &Savegame)| savegame.sitting == *sitting;
        if image.savegames.iter().filter(own).count() >= FILES {
            return Ok(oldest(&mut image.savegames.iter().filter(own)));
        }
        if image.savegames.len() < ALL {
            return Ok(None);
        }
        let loose = |(_, savegame): &(&Vec<u8>, &Savegame)| !image.held.contains(&savegame.sitting);
        let oldest = oldest(&mut image.savegames.iter().filter(loose));
        oldest.map(Some).ok_or(LedgerError::TooMany {
            what: "saved games",
            most: ALL,
        })
    }

    /// All that is saved, of one room or of all, in the order of rooms and tables.
    pub(crate) fn savegames(&self, room: Option<&str>) -> Vec<Savegame> {
        let image = self.image();
        let wanted = image.savegames.values();
        wanted
            .filter(|savegame| room.is_none_or(|room| savegame.sitting.room == room))
            .cloned()
            .collect()
    }

    /// A saved game, for a table that goes on with it and holds it from now on; none when there is none, or a table
    /// holds it already.
    pub(crate) fn resume(&self, sitting: &Sitting, file: &str) -> Option<Savegame> {
        let mut image = self.image_mut();
        let savegame = image.savegames.get(&saved(sitting, file))?.clone();
        image.held.insert(sitting.clone()).then_some(savegame)
    }

    /// The table is gone without an end of its match: what it saved can be resumed.
    pub(crate) fn release(&self, sitting: &Sitting) {
        self.image_mut().held.remove(sitting);
    }

    /// The same, and it goes on only when somebody wants it to.
    pub(crate) async fn lay_aside(&self, sitting: &Sitting) -> Result<(), LedgerError> {
        let files = self.files_of(sitting)?;
        if !files.is_empty() {
            let touched = files.iter().cloned().map(Touched::Savegame).collect();
            let _touching = self.touching(touched);
            let work = |tx: &mut crate::store::Tx<'_>| {
                for key in files {
                    if let Some(mut savegame) = tx.get(SAVEGAMES, &key)? {
                        savegame.left = true;
                        tx.put(SAVEGAMES, key, &savegame)?;
                    }
                }
                Ok::<_, StoreError>(())
            };
            self.store.write(work).await?;
        }
        self.release(sitting);
        Ok(())
    }

    /// Whether a table plays it now.
    pub(crate) fn is_held(&self, sitting: &Sitting) -> bool {
        self.image().held.contains(sitting)
    }

    /// The table's match is at its end: what it saved is done with. [`Self::report`] does the same.
    pub(crate) async fn finish(&self, sitting: &Sitting) -> Result<(), LedgerError> {
        let files = self.files_of(sitting)?;
        let touched = files.iter().cloned().map(Touched::Savegame).collect();
        let _touching = self.touching(touched);
        let work = |tx: &mut crate::store::Tx<'_>| {
            for key in &files {
                tx.delete(SAVEGAMES, key)?;
            }
            Ok::<_, StoreError>(())
        };
        self.store.write(work).await?;
        self.release(sitting);
        Ok(())
    }

    /// The keys of what a table has saved. Most tables have saved nothing, and the store is not asked.
    pub(super) fn files_of(&self, sitting: &Sitting) -> Result<Vec<Vec<u8>>, LedgerError> {
        if !self.image().held.contains(sitting) {
            return Ok(Vec::new());
        }
        let found: BTreeMap<_, _> = readable(self.store.scan(SAVEGAMES, &sitting.key()))?
            .into_iter()
            .collect();
        Ok(found.into_keys().collect())
    }
}
