//! Bearer tokens: for scripts, and for whoever shall do a part of what one may oneself.

use std::time::Duration;

use serde_json::json;

use super::{
    AccountId, Accounts, AccountsError, NewToken, Principal, TokenView, Via, names,
    records::Token,
    secret::{Digest, fresh},
    service::Change,
};
use crate::clock::UnixMillis;

/// What every bearer token starts with, so that people and scanners know one when they see it.
const PREFIX: &str = "lh_";
/// How many an account can have.
const TOKENS_EACH: usize = 100;

impl Accounts {
    /// One's own tokens; with `accounts.manage`, everybody's; with a scoped token, that one alone.
    pub async fn tokens(&self, by: &Principal) -> Result<Vec<TokenView>, AccountsError> {
        let all = self.sees_all(by);
        let people = self.people();
        let seen = people.tokens().filter(|token| all || has(by, token));
        Ok(seen.map(Token::view).collect())
    }

    /// Makes a token; the secret is told this once. A token cannot make a wider or a longer one:
    /// its own scopes and its own end bound those of what it makes.
    pub async fn create_token(
        &self,
        by: &Principal,
        wish: NewToken,
    ) -> Result<(TokenView, String), AccountsError> {
        let account = wish.account.or(by.actor.account.map(AccountId));
        let account = account.ok_or(AccountsError::Invalid {
            what: "account",
            why: "must be named by who has none",
        })?;
        if !by.is(account) {
            self.may_manage(by, &[])?;
        }
        let owner = self.known(account)?;
        let wider = |own: &Vec<_>| match &wish.scopes {
            Some(scopes) => scopes.iter().any(|verb| !own.contains(verb)),
            None => true,
        };
        if by.scopes.as_ref().is_some_and(wider) {
            return Err(AccountsError::Forbidden(
                "the scopes that the token shall have",
            ));
        }
        let label = names::label(&wish.label)?;
        let now = UnixMillis::now();
        let mut expires = wish
            .expires_in_s
            .map(|seconds| now.after(Duration::from_secs(seconds.min(u32::MAX.into()))));
        let (ended, count) = {
            let people = self.people();
            if let Via::Token(own) = by.via {
                let end = people.token(own).ok_or(AccountsError::WrongToken)?.expires;
                expires = expires.into_iter().chain(end).min();
            }
            let own = people.tokens().filter(|token| token.account == account);
            let (live, ended): (Vec<_>, Vec<_>) = own.partition(|token| token.lasts(now));
            (
                ended.iter().map(|token| token.id).collect::<Vec<_>>(),
                live.len(),
            )
        };
        if count >= TOKENS_EACH {
            return Err(AccountsError::Invalid {
                what: "account",
                why: "has 100 tokens already: revoke some",
            });
        }
        let mut scopes = wish.scopes;
        if let Some(scopes) = &mut scopes {
            scopes.sort_unstable();
            scopes.dedup();
        }
        let secret = fresh(PREFIX);
        let subject = format!("account {}", owner.name);
        let detail = json!({"label": label, "scopes": scopes, "expires": expires});
        let token = Token {
            id: 0,
            account,
            hash: Digest::of(&secret),
            label,
            scopes,
            expires,
            created: now,
        };
        let work = move |change: &mut Change<'_, '_>| {
            for id in ended {
                change.delete_token(id)?;
            }
            change.account(account)?;
            change.add_token(token)
        };
        let made = self.change(by.actor.clone(), "token.create", subject, detail, work);
        Ok((made.await?.view(), secret))
    }

    /// Revokes a token: one's own, or with `accounts.manage` anybody's; with a scoped token, that one alone.
    pub async fn revoke_token(&self, by: &Principal, id: u64) -> Result<(), AccountsError> {
        let all = self.sees_all(by);
        let none = move || AccountsError::NoSuch {
            what: "token",
            id: id.to_string(),
        };
        let token = self.people().token(id).cloned();
        // Somebody else's is not there for who may not see it.
        let token = token.filter(|token| all || has(by, token));
        let token = token.ok_or_else(none)?;
        let owner = self.name_of(token.account).unwrap_or_default();
        let detail = json!({"account": owner, "label": token.label});
        let work = move |change: &mut Change<'_, '_>| match change.delete_token(id)? {
            true => Ok(()),
            false => Err(none()),
        };
        let subject = format!("token {id}");
        self.change(by.actor.clone(), "token.revoke", subject, detail, work)
            .await
    }
}

/// Whether a token is the caller's to see and to end. Who holds a part of what its account may holds that part alone.
fn has(by: &Principal, token: &Token) -> bool {
    match (&by.via, &by.scopes) {
        (Via::Token(own), Some(_)) => *own == token.id,
        _ => by.is(token.account),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        accounts::{
            AccountsError::*,
            Role, Subject, Verb,
            fixture::{Fixture, id, root, scoped, web},
            records::TOKENS,
        },
        clock::UnixMillis,
    };

    fn wish(scopes: Option<&[Verb]>) -> NewToken {
        NewToken {
            label: "a script".into(),
            account: None,
            scopes: scopes.map(<[_]>::to_vec),
            expires_in_s: None,
        }
    }

    #[tokio::test]
    async fn a_token_can_what_its_scopes_say_until_it_is_revoked() {
        let f = Fixture::new();
        let ada = f.person("ada", Role::Admin).await;
        let scopes = [Verb::ConsoleRead, Verb::ServerView, Verb::ServerView];
        let (view, secret) = f
            .accounts
            .create_token(&ada, wish(Some(&scopes)))
            .await
            .unwrap();
        assert!(secret.starts_with("lh_"));
        assert_eq!(
            view.scopes.as_deref(),
            Some(&[Verb::ServerView, Verb::ConsoleRead][..])
        );
        let by = f.reopened().by_token(&web(1), &secret).await.unwrap();
        assert_eq!(by.via, Via::Token(view.id));
        assert!(f.accounts.allows(&by, Verb::ServerView, Subject::Box));
        assert!(!f.accounts.allows(&by, Verb::AuditRead, Subject::Box));
        f.accounts.revoke_token(&ada, view.id).await.unwrap();
        assert!(matches!(
            f.accounts.by_token(&web(1), &secret).await,
            Err(WrongToken)
        ));
        assert!(!f.accounts.allows(&by, Verb::ServerView, Subject::Box));
        let twice = f.accounts.revoke_token(&ada, view.id).await;
        assert!(matches!(twice, Err(NoSuch { what: "token", .. })));
        let log = serde_json::to_string(&f.log()).unwrap();
        assert!(log.contains("a script") && !log.contains(&secret[3..]));
    }

    #[tokio::test]
    async fn a_scoped_token_sees_and_ends_itself_alone() {
        let f = Fixture::new();
        let ada = f.person("ada", Role::Host).await;
        let (full, _) = f.accounts.create_token(&ada, wish(None)).await.unwrap();
        let narrow = wish(Some(&[Verb::ServerView]));
        let (narrow, secret) = f.accounts.create_token(&ada, narrow).await.unwrap();
        let by = f.accounts.by_token(&web(1), &secret).await.unwrap();
        assert_eq!(
            f.accounts.tokens(&by).await.unwrap(),
            std::slice::from_ref(&narrow)
        );
        let other = f.accounts.revoke_token(&by, full.id).await;
        assert!(matches!(other, Err(NoSuch { what: "token", .. })));
        f.accounts.revoke_token(&by, narrow.id).await.unwrap();
        assert_eq!(f.accounts.tokens(&ada).await.unwrap(), [full]);
    }

    #[tokio::test]
    async fn a_token_makes_none_that_is_wider_or_lasts_longer() {
        let f = Fixture::new();
        let ada = f.person("ada", Role::Admin).await;
        let by = scoped(&ada, &[Verb::ServerView, Verb::ConsoleRead]);
        for wider in [None, Some(&[Verb::ServerView, Verb::AuditRead][..])] {
            let made = f.accounts.create_token(&by, wish(wider)).await;
            assert!(matches!(made, Err(Forbidden(_))));
        }
        f.accounts
            .create_token(&by, wish(Some(&[Verb::ConsoleRead])))
            .await
            .unwrap();
        let brief = NewToken {
            expires_in_s: Some(60),
            ..wish(None)
        };
        let (view, secret) = f.accounts.create_token(&ada, brief).await.unwrap();
        let by = f.accounts.by_token(&web(1), &secret).await.unwrap();
        for expires_in_s in [None, Some(u64::MAX)] {
            let wish = NewToken {
                expires_in_s,
                ..wish(None)
            };
            let (child, _) = f.accounts.create_token(&by, wish).await.unwrap();
            assert_eq!(child.expires, view.expires);
        }
    }

    #[tokio::test]
    async fn expired_tokens_are_nobody_and_go_in_passing() {
        let f = Fixture::new();
        let ada = f.person("ada", Role::Host).await;
        let now = NewToken {
            expires_in_s: Some(0),
            ..wish(None)
        };
        let (view, secret) = f.accounts.create_token(&ada, now).await.unwrap();
        assert!(view.expires.unwrap() <= UnixMillis::now());
        assert!(matches!(
            f.accounts.by_token(&web(1), &secret).await,
            Err(WrongToken)
        ));
        f.accounts.create_token(&ada, wish(None)).await.unwrap();
        assert_eq!(f.accounts.tokens(&ada).await.unwrap().len(), 1);
        assert_eq!(f.store.get(TOKENS, view.id.to_be_bytes()).unwrap(), None);
    }

    #[tokio::test]
    async fn other_peoples_tokens_need_accounts_manage() {
        let f = Fixture::new();
        let [ada, bob] = [
            f.person("ada", Role::Host).await,
            f.person("bob", Role::Host).await,
        ];
        let for_bob = NewToken {
            account: Some(id(&bob)),
            ..wish(None)
        };
        assert!(matches!(
            f.accounts.create_token(&ada, for_bob.clone()).await,
            Err(Forbidden(_))
        ));
        assert!(matches!(
            f.accounts.create_token(&root(), wish(None)).await,
            Err(Invalid { .. })
        ));
        let (view, _) = f.accounts.create_token(&root(), for_bob).await.unwrap();
        assert_eq!(f.accounts.tokens(&ada).await.unwrap(), []);
        assert!(matches!(
            f.accounts.revoke_token(&ada, view.id).await,
            Err(NoSuch { .. })
        ));
        assert_eq!(f.accounts.tokens(&root()).await.unwrap()[0], view);
        f.accounts.revoke_token(&bob, view.id).await.unwrap();
    }

    #[tokio::test]
    async fn an_account_has_a_hundred_tokens_at_most() {
        let f = Fixture::new();
        let ada = f.person("ada", Role::Host).await;
        for _ in 0..TOKENS_EACH {
            f.accounts.create_token(&ada, wish(None)).await.unwrap();
        }
        let more = f.accounts.create_token(&ada, wish(None)).await;
        assert!(matches!(
            more,
            Err(Invalid {
                what: "account",
                ..
            })
        ));
    }
}
