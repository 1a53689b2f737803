//! A running game saves first; where it cannot, the snapshot says so.

use std::fs;

use serde_json::{Value, json};

use super::{
    DIARY, KEYS, at,
    common::{House, PLAIN, code, game, installed},
    content, files, house, names, number, take,
};

async fn says(house: &House, id: u64, line: &str) {
    house
        .ok(
            "POST",
            &House::at(id, "/console"),
            Some(json!({"line": line})),
        )
        .await;
}

#[tokio::test]
async fn a_running_game_saves_before_its_files_are_copied() {
    let (house, id) = house(&[]).await;
    house.power(id, "start").await;
    house.until_state(id, "running").await;
    for word in ["first", "second"] {
        says(&house, id, word).await;
        house.hears(id, &format!("noted {word}")).await;
        let taken = take(&house, id, json!({"strict": true})).await;
        assert_eq!(
            (&taken["consistent"], &taken["why"]),
            (&json!(true), &Value::Null)
        );
        let diary = content(&house, id, number(&taken), "diary");
        assert!(diary.ends_with(word), "{diary}");
    }
}

#[tokio::test]
async fn a_snapshot_that_may_be_torn_says_why_and_is_refused_to_who_is_strict() {
    let mute = KEYS
        .replace("all is saved", "never said")
        .replace("20s", "200ms");
    let failing = KEYS
        .replace("timeout", "failed = \"is saved\"\ntimeout")
        .replace("line = \"all is saved\"", "line = \"never said\"");
    let games = [
        (
            "plain",
            game(
                "print('ready')\nimport signal\nwhile True: signal.pause()",
                PLAIN,
            ),
        ),
        ("mute", game(DIARY, &mute)),
        ("failing", game(DIARY, &failing)),
    ];
    let games: Vec<_> = games
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let house = House::with_games(&games, &[]).await;
    for (name, why) in [
        ("plain", "cannot be told to save"),
        ("mute", "did not say within 0.2 s"),
        ("failing", "said `is saved`"),
    ] {
        let id = house.launch(name).await;
        house.until_state(id, "running").await;
        let taken = take(&house, id, json!({})).await;
        assert_eq!(taken["consistent"], false, "{name}");
        assert!(
            taken["why"].as_str().unwrap().contains(why),
            "{name}: {taken}"
        );
        let refused = house
            .call("POST", &at(id, ""), Some(json!({"strict": true})))
            .await;
        assert_eq!(code(&refused), (409, "not-consistent"), "{name}");
        assert_eq!(super::ids(&house, id).await.len(), 1, "{name}");
        house.power(id, "kill").await;
    }
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_noted() {
    // Read slowly enough to be caught.
    let (house, id) = house(&["snapshots.rate=1M"]).await;
    let top = files(&house, id);
    fs::write(top.join("large"), super::noise(3, 4 << 20)).unwrap();
    super::folder::give(&top);
    let (place, top) = (at(id, ""), &top);
    let taking = house.ok("POST", &place, Some(json!({})));
    let writing = async {
        super::until(&house, "begun", async || {
            house.ok("GET", &place, None).await["running"]["bytes"].as_u64() > Some(0)
        })
        .await;
        let mut file = fs::File::options()
            .append(true)
            .open(top.join("large"))
            .unwrap();
        std::io::Write::write_all(&mut file, b"more").unwrap();
    };
    let (taken, ()) = tokio::join!(taking, writing);
    assert_eq!(taken["consistent"], false);
    assert!(
        taken["why"]
            .as_str()
            .unwrap()
            .contains("changed while it was read: large"),
        "{taken}"
    );
}

#[tokio::test]
async fn openttd_saves_and_the_snapshot_holds_what_it_saved() {
    if !installed("/usr/games/openttd") {
        return;
    }
    let house = House::with_games(&[], &[]).await;
    let settings = json!({"listen": "127.0.0.1", "map_width": "64", "map_height": "64"});
    let id = house
        .create(json!({"game": "openttd", "settings": settings}))
        .await;
    house.power(id, "start").await;
    house.until_state(id, "running").await;
    let taken = take(&house, id, json!({"strict": true})).await;
    assert_eq!(taken["consistent"], true, "{taken}");
    let saved = names(&house, id, number(&taken), "save/autosave").await;
    assert!(saved.contains(&"snapshot.sav".to_owned()), "{saved:?}");
    // It is the one that a restored server goes on with.
    let restore = at(id, &format!("/{}/restore", number(&taken)));
    house
        .ok("POST", &restore, Some(json!({"stop": true})))
        .await;
    house.until_state(id, "running").await;
}
