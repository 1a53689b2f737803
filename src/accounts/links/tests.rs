//! What opens a link and what does not, who is told what, and how many letters there are.

use super::*;
use crate::accounts::{
    AccountPatch,
    AccountsError::*,
    Enrolment, NewAccount, Role,
    fixture::{Fixture, link_of, member, right, root, scoped, site, web, wish, wrong},
};

const ADA: &str = "ada@example.org";

async fn with_mail(f: &Fixture, name: &str, mail: &str) -> AccountId {
    let wish = NewAccount {
        password: Some(right()),
        mail: Some(mail.into()),
        ..wish(name, Role::Player)
    };
    f.accounts.create(&root(), wish).await.unwrap().id
}

/// Makes every link as old as it may become.
async fn age(f: &Fixture) {
    let tokens: Vec<_> = f.store.scan(MAIL_TOKENS, &[]).map(Result::unwrap).collect();
    for (key, mut token) in tokens {
        token.expires = UnixMillis::now();
        f.store
            .write(|tx| tx.put(MAIL_TOKENS, &key, &token))
            .await
            .unwrap();
    }
}

#[test]
fn a_place_to_go_to_is_filled_as_python_does_it() {
    let id = AccountId(7);
    for (template, is) in [
        ("/x?u=%(uid)s&n=%(username)s", "/x?u=7&n=a%2Dda"),
        ("/100%%?%%(uid)s", "/100%?%(uid)s"),
        ("/plain%20", "/plain%20"),
    ] {
        assert_eq!(success_url(template, id, "a-da"), is);
    }
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_once_and_ends_all_sessions() {
    let f = Fixture::new();
    let ada = with_mail(&f, "ada", ADA).await;
    let login = f.accounts.login(&web(1), "ada", &right()).await.unwrap();
    f.accounts
        .forgot_password(&web(2), None, "ADA@example.org")
        .await
        .unwrap();
    let (id, token) = link_of(&f, ADA).unwrap();
    assert_eq!(id, ada);
    assert_eq!(token.len(), 43);
    f.accounts.may_reset(&web(2), id, &token).unwrap();
    let short = f
        .accounts
        .reset(&web(2), id, &token, &Secret::new("short"))
        .await;
    assert!(matches!(short, Err(BadPassword(_))));
    f.accounts
        .reset(&web(2), id, &token, &wrong())
        .await
        .unwrap();
    assert!(f.accounts.by_token(&web(1), &login.token).await.is_err());
    f.accounts.login(&web(1), "ada", &wrong()).await.unwrap();
    let again = f.accounts.reset(&web(2), id, &token, &right()).await;
    assert!(matches!(again, Err(LinkGone)));
    assert!(link_of(&f, ADA).is_none());
    let log = serde_json::to_string(&f.log()).unwrap();
    assert!(!log.contains(&token));
}

#[tokio::test]
async fn only_who_has_shown_that_an_address_is_theirs_is_sent_a_link_there() {
    let f = Fixture::new();
    let bob = with_mail(&f, "bob", "bob@example.org").await;
    let off = AccountPatch {
        disabled: Some(true),
        ..AccountPatch::default()
    };
    f.accounts.update(&root(), bob, off).await.unwrap();
    let made = f
        .accounts
        .register(&web(1), "eve", &right(), Some("eve@example.org"))
        .await;
    assert_eq!(made.unwrap().account.mail_state, MailState::Unverified);
    f.accounts.login(&web(1), "eve", &right()).await.unwrap();
    for to in ["bob@example.org", "eve@example.org", "nobody@example.org"] {
        f.accounts.forgot_password(&web(2), None, to).await.unwrap();
    }
    assert!(f.accounts.desk().post.queue(true).letters.is_empty());
    // Nobody's wish is recorded like everybody's.
    let wishes = f
        .actions()
        .into_iter()
        .filter(|action| action == "account.forgot");
    assert_eq!(wishes.count(), 3);
    // The link that verifies is sent to her alone.
    f.accounts
        .verify_again(&web(3), "eve@example.org")
        .await
        .unwrap();
    f.accounts
        .verify_again(&web(3), "bob@example.org")
        .await
        .unwrap();
    let (id, token) = link_of(&f, "eve@example.org").unwrap();
    f.accounts.verify(&web(3), id, &token).await.unwrap();
    assert_eq!(f.accounts.desk().post.queue(true).letters.len(), 0);
    f.accounts
        .forgot_password(&web(4), None, "eve@example.org")
        .await
        .unwrap();
    assert!(link_of(&f, "eve@example.org").is_some());
}

#[tokio::test]
async fn a_stranger_fills_no_mailbox() {
    let f = Fixture::new();
    with_mail(&f, "ada", ADA).await;
    let mut tokens = std::collections::BTreeSet::new();
    for n in 0..20 {
        f.accounts
            .forgot_password(&web(n), None, ADA)
            .await
            .unwrap();
        tokens.insert(link_of(&f, ADA).unwrap().1);
    }
    assert_eq!(tokens.len(), 3);
    // Nor many.
    for n in 0..40 {
        f.accounts
            .forgot_password(&web(100), None, &format!("n{n}@example.org"))
            .await
            .unwrap();
    }
    let wishes = f
        .actions()
        .into_iter()
        .filter(|action| action == "account.forgot");
    assert_eq!(wishes.count(), 3 + 10);
}

#[tokio::test]
async fn a_link_is_good_for_its_own_account_purpose_address_and_time() {
    let f = Fixture::new();
    let ada = with_mail(&f, "ada", ADA).await;
    let bob = with_mail(&f, "bob", "bob@example.org").await;
    let forgot = async || {
        f.accounts
            .forgot_password(&web(2), None, ADA)
            .await
            .unwrap()
    };
    forgot().await;
    let (id, first) = link_of(&f, ADA).unwrap();
    let verified = f.accounts.verify(&web(3), id, &first).await;
    assert!(matches!(verified, Err(AlreadyVerified(_))));
    assert!(f.accounts.may_reset(&web(3), bob, &first).is_err());
    let other = AccountId(99);
    let nobody = f.accounts.may_reset(&web(3), other, &first);
    assert!(matches!(nobody, Err(LinkGone)));
    let nobody = f.accounts.verify(&web(3), other, &first).await;
    assert!(matches!(nobody, Err(NoSuchAccount(_))));
    // A newer one ends it.
    forgot().await;
    let (_, second) = link_of(&f, ADA).unwrap();
    assert!(matches!(
        f.accounts.may_reset(&web(3), id, &first),
        Err(LinkGone)
    ));
    f.accounts.may_reset(&web(3), id, &second).unwrap();
    assert_eq!(f.accounts.desk().post.queue(true).letters.len(), 1);
    // So does another address, and time.
    let moved = AccountPatch {
        mail: Some("new@example.org".into()),
        ..AccountPatch::default()
    };
    f.accounts.update(&root(), ada, moved).await.unwrap();
    assert!(f.accounts.may_reset(&web(3), id, &second).is_err());
    f.accounts
        .forgot_password(&web(2), None, "new@example.org")
        .await
        .unwrap();
    let (_, third) = link_of(&f, "new@example.org").unwrap();
    age(&f).await;
    assert!(matches!(
        f.accounts.may_reset(&web(3), id, &third),
        Err(LinkGone)
    ));
    let late = f.accounts.reset(&web(3), id, &third, &wrong()).await;
    assert!(matches!(late, Err(LinkGone)));
}

#[tokio::test]
async fn guesses_at_a_link_are_slowed_down_and_the_right_one_passes() {
    let f = Fixture::new();
    with_mail(&f, "ada", ADA).await;
    f.accounts
        .forgot_password(&web(2), None, ADA)
        .await
        .unwrap();
    let (id, token) = link_of(&f, ADA).unwrap();
    let guess = || f.accounts.may_reset(&web(3), id, "guess");
    for _ in 0..60 {
        assert!(matches!(guess(), Err(LinkGone)));
    }
    while !matches!(guess(), Err(LockedOut { .. })) {}
    f.accounts
        .reset(&web(3), id, &token, &wrong())
        .await
        .unwrap();
}

#[tokio::test]
async fn of_two_who_open_one_link_at_once_one_does() {
    let f = Fixture::new();
    with_mail(&f, "ada", ADA).await;
    f.accounts
        .forgot_password(&web(2), None, ADA)
        .await
        .unwrap();
    let (id, token) = link_of(&f, ADA).unwrap();
    let (here, there, new, other) = (web(3), web(4), wrong(), Secret::new("another one"));
    let (one, two) = tokio::join!(
        f.accounts.reset(&here, id, &token, &new),
        f.accounts.reset(&there, id, &token, &other)
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
}

#[tokio::test]
async fn a_changed_address_is_verified_before_the_next_login() {
    let f = Fixture::new();
    let ada = with_mail(&f, "ada", ADA).await;
    let login = f.accounts.login(&web(1), "ada", &right()).await.unwrap();
    let by = f.accounts.by_token(&web(1), &login.token).await.unwrap();
    let new = "new@example.org";
    let view = f.accounts.change_mail(&by, ada, new).await.unwrap();
    assert_eq!(
        (view.mail.as_deref(), view.mail_state),
        (Some(new), MailState::Changed)
    );
    // Who is in stays in; nobody comes in.
    f.accounts.by_token(&web(1), &login.token).await.unwrap();
    let enter = async || f.accounts.login(&web(2), "ada", &right()).await;
    assert!(matches!(enter().await, Err(WrongCredentials)));
    // To take it back by another way does not help.
    let own = AccountPatch {
        mail: Some("third@example.org".into()),
        ..AccountPatch::default()
    };
    let moved = f.accounts.update(&by, ada, own).await.unwrap();
    assert_eq!(moved.mail_state, MailState::Changed);
    assert!(link_of(&f, new).is_none());
    let (id, token) = link_of(&f, "third@example.org").unwrap();
    f.accounts.verify(&web(5), id, &token).await.unwrap();
    enter().await.unwrap();
    // Others need the right, and a scoped token is not oneself.
    let bob = with_mail(&f, "bob", "bob@example.org").await;
    let bob = member(&f, bob);
    for by in [&bob, &scoped(&by, &[crate::accounts::Verb::ServerView])] {
        let refused = f.accounts.change_mail(by, ada, new).await;
        assert!(matches!(refused, Err(Forbidden(_))));
    }
    let bad = f.accounts.change_mail(&root(), ada, "a@b@c").await;
    assert!(matches!(bad, Err(Invalid { .. })));
}

#[tokio::test]
async fn a_password_is_changed_by_who_has_just_shown_it_or_may_manage_accounts() {
    let f = Fixture::new();
    let ada = with_mail(&f, "ada", ADA).await;
    let login = f.accounts.login(&web(1), "ada", &right()).await.unwrap();
    let by = f.accounts.by_token(&web(1), &login.token).await.unwrap();
    let session = f.accounts.change_password(&by, ada, &wrong()).await;
    assert!(matches!(session, Err(Forbidden(_))));
    let shown = f
        .accounts
        .by_password(&web(1), "ada", &right())
        .await
        .unwrap();
    f.accounts
        .change_password(&shown, ada, &wrong())
        .await
        .unwrap();
    assert!(f.accounts.by_token(&web(1), &login.token).await.is_err());
    f.accounts
        .change_password(&root(), ada, &right())
        .await
        .unwrap();
    f.accounts.login(&web(1), "ada", &right()).await.unwrap();
    let bob = with_mail(&f, "bob", "bob@example.org").await;
    let refused = f
        .accounts
        .change_password(&member(&f, bob), ada, &wrong())
        .await;
    assert!(matches!(refused, Err(Forbidden(_))));
}

#[tokio::test]
async fn a_site_is_counted_by_where_its_letters_go_and_not_by_its_address() {
    let f = Fixture::new();
    with_mail(&f, "ada", ADA).await;
    let site = site(&f).await;
    let caller = Caller {
        door: site.actor.door,
        from: site.actor.from,
    };
    let forgot = async |mail: &str| {
        let asked = f.accounts.forgot_password(&caller, Some(&site), mail);
        asked.await.unwrap();
    };
    for n in 0..40 {
        forgot(&format!("n{n}@example.org")).await;
    }
    forgot(ADA).await;
    assert!(link_of(&f, ADA).is_some());
    for n in 0..40 {
        let (name, mail) = (format!("new{n}"), format!("new{n}@example.org"));
        let wish = Enrolment {
            name: &name,
            password: &right(),
            mail: &mail,
            success: None,
        };
        f.accounts.enrol(&site, wish).await.unwrap();
    }
    // Nobody's mailbox is filled by it either.
    let eve = with_mail(&f, "eve", "eve@example.org").await;
    let changed = async |n: u32| {
        let back = f.accounts.change_mail(&site, eve, "elsewhere@example.org");
        let changed = back.await;
        let away = format!("away{n}@example.org");
        f.accounts.change_mail(&site, eve, &away).await.unwrap();
        changed.map(drop)
    };
    for n in 0..3 {
        changed(n).await.unwrap();
    }
    assert!(matches!(changed(3).await, Err(TooManyLetters { .. })));
}
