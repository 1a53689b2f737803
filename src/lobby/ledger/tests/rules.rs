//! Saved games, bans, permissions and definitions.

use std::time::Duration;

use super::*;
use crate::lobby::wire::terms::{Permission, Permissions};

const NOW: UnixMillis = UnixMillis(1_000_000);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn a_saved_game_is_replaced_by_its_table_and_resumed_once() {
    let desk = Desk::new();
    let ledger = &desk.ledger;
    ledger.save(saving(1, "a.sav", 10)).await.unwrap();
    ledger.save(saving(1, "a.sav", 20)).await.unwrap();
    ledger.save(saving(2, "b.sav", 30)).await.unwrap();
    let list = ledger.savegames(Some("entry"));
    assert_eq!(list, [saving(1, "a.sav", 20), saving(2, "b.sav", 30)]);
    assert!(ledger.savegames(Some("ent")).is_empty());
    // Its own table has it.
    assert_eq!(ledger.resume(&sitting(1), "a.sav"), None);
    let ledger = desk.reopened();
    let resumed = ledger.resume(&sitting(1), "a.sav").unwrap();
    assert_eq!(resumed, saving(1, "a.sav", 20));
    assert_eq!(ledger.resume(&sitting(1), "a.sav"), None);
    assert_eq!(ledger.resume(&sitting(1), "none.sav"), None);
    assert!(ledger.is_held(&sitting(1)) && !ledger.is_held(&sitting(2)));
    // The table has failed.
    ledger.lay_aside(&sitting(1)).await.unwrap();
    assert!(!ledger.is_held(&sitting(1)));
    let aside = desk.reopened().resume(&sitting(1), "a.sav").unwrap();
    assert!(aside.left && aside.sitting == sitting(1));
    assert!(ledger.resume(&sitting(1), "a.sav").unwrap().left);
    ledger.save(saving(1, "a.sav", 40)).await.unwrap();
    let ended = Report {
        savegame: Some("a.sav".into()),
        ..report(ALL, vec![computer("Deep", Outcome::Win, 0)])
    };
    let done = ledger.report(ended).await.unwrap();
    let found = ledger.match_of_id(done.id).unwrap().unwrap();
    assert_eq!(found.savegame.as_deref(), Some("a.sav"));
    assert_eq!(ledger.savegames(None), [saving(2, "b.sav", 30)]);
    ledger.resume(&sitting(2), "b.sav").unwrap();
    ledger.finish(&sitting(2)).await.unwrap();
    assert!(ledger.savegames(None).is_empty());
    assert!(desk.reopened().savegames(None).is_empty());
}

#[tokio::test]
async fn a_table_keeps_so_many_files_and_the_oldest_gives_way() {
    let desk = Desk::new();
    for number in 0..18 {
        let savegame = saving(1, &format!("{number:02}"), number);
        desk.ledger.save(savegame).await.unwrap();
    }
    let files: Vec<_> = desk.ledger.savegames(None).into_iter().collect();
    assert_eq!((files.len(), &files[0].file[..]), (16, "02"));
    let bad = saving(1, "../x", 1);
    let error = desk.ledger.save(bad).await.unwrap_err();
    assert!(matches!(error, LedgerError::BadFile(_)), "{error}");
}

#[tokio::test]
async fn a_banned_account_is_kept_out_from_anywhere_and_nobody_else_is() {
    let desk = Desk::new();
    let ledger = &desk.ledger;
    let (ada, bob) = (desk.account("ada").await, desk.account("bob").await);
    let from = |n| Some(IpAddr::from([192, 0, 2, n]));
    let wish = sentence("Ada", Some(ada), [192, 0, 2, 1]);
    let ban = ledger.ban(wish, NOW).await.unwrap();
    assert_eq!((ban.network, ban.until), (None, None));
    let later = NOW.after(1000 * DAY);
    assert_eq!(ledger.banned("ada", Some(ada), from(9), later), Some(ban));
    assert_eq!(ledger.banned("bob", Some(bob), from(1), NOW), None);
    assert_eq!(ledger.banned("guest", None, from(1), NOW), None);
    assert!(ledger.lift("ADA").await.unwrap() && !ledger.lift("ada").await.unwrap());
    assert_eq!(ledger.banned("ada", Some(ada), from(1), NOW), None);
}

#[tokio::test]
async fn a_banned_guest_bars_name_and_network_to_guests_for_a_day() {
    let desk = Desk::new();
    let ledger = &desk.ledger;
    let ada = desk.account("ada").await;
    let v6 = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    let wish = Sentence {
        address: v6("2001:db8:1:2:3::4"),
        ..sentence("Troll", None, [0; 4])
    };
    let ban = ledger.ban(wish.clone(), NOW).await.unwrap();
    assert_eq!(ban.network, v6("2001:db8:1:2::"));
    let near = v6("2001:db8:1:2:ffff::1");
    assert_eq!(ledger.banned("Other", None, near, NOW), Some(ban.clone()));
    assert_eq!(ledger.banned("tROLL", None, v6("::1"), NOW), Some(ban));
    assert_eq!(
        ledger.banned("Other", None, v6("2001:db8:1:3::4"), NOW),
        None
    );
    assert_eq!(ledger.banned("Other", None, None, NOW), None);
    assert_eq!(ledger.banned("ada", Some(ada), near, NOW), None);
    let ledger = desk.reopened();
    assert_eq!(ledger.bans(NOW).len(), 1);
    let over = NOW.after(DAY);
    assert!(ledger.bans(over).is_empty() && ledger.banned("Troll", None, near, over).is_none());
    // The next ban throws it away.
    let wish = Sentence {
        name: "Next".into(),
        term: Term::For(Duration::from_secs(1)),
        ..wish
    };
    ledger.ban(wish.clone(), over).await.unwrap();
    let there = || desk.store.scan(records::BANS, b"").count();
    assert_eq!((ledger.bans(NOW).len(), there()), (1, 1));
    let term = Term::Always;
    let ban = ledger.ban(Sentence { term, ..wish }, over).await.unwrap();
    assert_eq!((ban.until, there()), (None, 1));
}

#[tokio::test]
async fn permissions_are_set_and_cleared_and_outlive_a_restart() {
    let desk = Desk::new();
    let ada = AccountId(7);
    assert_eq!(desk.ledger.mask(ada).unwrap(), None);
    let changes = desk.ledger.changes();
    let mask = Mask {
        permissions: Permissions::REGISTERED.with(Permission::ChatAnnounce, true),
        role: Role::Player,
    };
    desk.ledger.set_mask(ada, mask).await.unwrap();
    assert!(changes.has_changed().unwrap());
    for ledger in [&desk.ledger, &desk.reopened()] {
        assert_eq!(ledger.mask(ada).unwrap(), Some(mask));
    }
    assert!(desk.ledger.clear_mask(ada).await.unwrap());
    assert!(!desk.ledger.clear_mask(ada).await.unwrap());
    for ledger in [&desk.ledger, &desk.reopened()] {
        assert_eq!(ledger.mask(ada).unwrap(), None);
    }
}

#[tokio::test]
async fn permissions_that_do_not_decode_are_an_error_and_those_of_others_stand() {
    let desk = Desk::new();
    let (ada, bob) = (AccountId(7), AccountId(8));
    let mask = Mask {
        permissions: Permissions::default(),
        role: Role::Player,
    };
    desk.ledger.set_mask(ada, mask).await.unwrap();
    let spoil = |tx: &mut crate::store::Tx<'_>| {
        tx.put(Table::<JunkMask>::new(), bob.0.to_be_bytes(), &JunkMask)
    };
    desk.store.write(spoil).await.unwrap();
    let ledger = desk.reopened();
    assert_eq!(ledger.mask(ada).unwrap(), Some(mask));
    assert_eq!(ledger.mask(AccountId(9)).unwrap(), None);
    ledger.mask(bob).unwrap_err();
    ledger.set_mask(bob, mask).await.unwrap();
    assert_eq!(ledger.mask(bob).unwrap(), Some(mask));
}

/// What cannot be read as permissions.
#[derive(serde::Serialize, serde::Deserialize)]
struct JunkMask;

impl Record for JunkMask {
    const TABLE: &'static str = "lobby_permission";
    const FORMAT: u8 = 99;
}

#[tokio::test]
async fn definitions_are_put_removed_and_forgotten() {
    use DefinitionKind::{Game, Room};
    let desk = Desk::new();
    let ledger = &desk.ledger;
    let text = "title = \"Chess\"\n".to_string();
    ledger
        .put_definition(Room, "chess", text.clone())
        .await
        .unwrap();
    ledger
        .put_definition(Game, "chess", text.clone())
        .await
        .unwrap();
    ledger.remove_definition(Room, "entry").await.unwrap();
    let listed: Vec<_> = desk.reopened().definitions().unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|one| (one.kind, &one.name[..], one.text.as_deref()))
        .collect();
    assert_eq!(
        listed,
        [
            (Game, "chess", Some(&text[..])),
            (Room, "chess", Some(&text[..])),
            (Room, "entry", None)
        ]
    );
    assert!(ledger.forget_definition(Room, "entry").await.unwrap());
    assert!(!ledger.forget_definition(Room, "entry").await.unwrap());
    assert_eq!(ledger.definitions().unwrap().len(), 2);
    let long = "#".repeat(40_000);
    ledger.put_definition(Game, "x", long).await.unwrap_err();
    ledger.remove_definition(Game, "").await.unwrap_err();
    assert_eq!(ledger.definitions().unwrap().len(), 2);
}
