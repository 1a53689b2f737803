//! What a server may use: figures that are checked, and the setting that they cap.

use std::collections::BTreeMap;

use super::definition::Definition;
use super::settings::{Setting, Value};
use super::{HostingError, Limits};

impl Limits {
    /// These, and where they say nothing the others.
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            memory: self.memory.or(others.memory),
            cpu_percent: self.cpu_percent.or(others.cpu_percent),
            pids: self.pids.or(others.pids),
            disk: self.disk.or(others.disk),
            players: self.players.or(others.players),
        }
    }

    /// Refuses what no game could live with: the field, and what would be right.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        const MIB: u64 = 1 << 20;
        let within = |value: Option<u64>, first: u64, last: u64| {
            value.is_none_or(|value| (first..=last).contains(&value))
        };
        if !within(self.memory, 4 * MIB, 1 << 50) {
            return Err(("memory", "must be bytes, at least 4 MiB (4194304)".into()));
        }
        if !within(self.cpu_percent.map(u64::from), 1, 100_000) {
            return Err((
                "cpu_percent",
                "must be from 1 to 100000; 100 is one processor".into(),
            ));
        }
        if !within(self.pids.map(u64::from), 1, 1 << 22) {
            return Err(("pids", "must be from 1 to 4194304".into()));
        }
        if !within(self.disk, MIB, 1 << 60) {
            return Err(("disk", "must be bytes, at least 1 MiB (1048576)".into()));
        }
        if !within(self.players.map(u64::from), 1, 1_000_000) {
            return Err(("players", "must be from 1 to 1000000".into()));
        }
        Ok(())
    }
}

impl Definition {
    /// The setting that is the number of players, with the least that it may be.
    fn counted(&self) -> Option<(&str, &Setting, i64)> {
        let name = self.players.setting.as_deref()?;
        let setting = self.settings.get(name)?;
        match setting {
            Setting::Integer { min, .. } => Some((name, setting, *min)),
            _ => None,
        }
    }

    /// How many may play at once by what was given.
    pub(super) fn seats(&self, given: &BTreeMap<String, Value>, limits: &Limits) -> Option<u32> {
        let seats = self.counted().and_then(|(name, setting, _)| {
            let given = given.get(name).cloned();
            match given.unwrap_or_else(|| setting.default()) {
                Value::Integer(seats) => u32::try_from(seats).ok(),
                Value::Boolean(_) | Value::Text(_) => None,
            }
        });
        seats.or(limits.players)
    }

    /// Refuses more players than `limits` has.
    pub(super) fn check_seats(
        &self,
        given: &BTreeMap<String, Value>,
        limits: &Limits,
    ) -> Result<(), HostingError> {
        let (Some((name, ..)), Some(most)) = (self.counted(), limits.players) else {
            return Ok(());
        };
        match given.get(name) {
            Some(Value::Integer(seats)) if *seats > i64::from(most) => Err(HostingError::Bad {
                field: format!("settings.{name}"),
                why: format!("must be at most {most}, the players that this server may have"),
            }),
            _ => Ok(()),
        }
    }

    /// What was given with the number of players capped: a default too, and what was given before the limit was lower.
    pub(super) fn capped(
        &self,
        mut given: BTreeMap<String, Value>,
        limits: &Limits,
    ) -> BTreeMap<String, Value> {
        let seats = self.seats(&given, limits);
        if let (Some((name, _, least)), Some(most), Some(seats)) =
            (self.counted(), limits.players, seats)
            && seats > most
        {
            given.insert(name.into(), Value::Integer(i64::from(most).max(least)));
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn openttd() -> std::sync::Arc<Definition> {
        super::super::library::load(None).0["openttd"].clone()
    }

    fn players(players: Option<u32>) -> Limits {
        Limits {
            players,
            ..Limits::default()
        }
    }

    #[test]
    fn more_players_than_the_limit_are_refused_with_the_settings_name() {
        let game = openttd();
        let given = BTreeMap::from([("max_clients".into(), Value::Integer(40))]);
        let refused = game.check_seats(&given, &players(Some(8))).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "settings.max_clients: must be at most 8, the players that this server may have"
        );
        assert!(game.check_seats(&given, &players(Some(40))).is_ok());
        assert!(game.check_seats(&given, &players(None)).is_ok());
    }

    proptest! {
        #[test]
        fn a_game_is_never_told_of_more_players_than_the_limit_and_else_of_what_was_given(
            given in prop::option::of(2i64..256), most in prop::option::of(2u32..300),
        ) {
            let game = openttd();
            let settings: BTreeMap<_, _> = given.map(|given| ("max_clients".to_owned(), Value::Integer(given))).into_iter().collect();
            let limits = players(most);
            let capped = game.capped(settings.clone(), &limits);
            let seats = game.seats(&capped, &limits).unwrap();
            prop_assert!(most.is_none_or(|most| seats <= most));
            prop_assert!(seats <= u32::try_from(given.unwrap_or(25)).unwrap());
            if game.check_seats(&settings, &limits).is_ok() && given.is_some() {
                prop_assert_eq!(capped, settings);
            }
        }
    }
}
