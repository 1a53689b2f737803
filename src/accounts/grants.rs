//! Grants: what one account may do with one server that is not its own.

use serde_json::json;

use super::{
    AccountId, Accounts, AccountsError, Grant, Principal, Subject, Verb,
    records::GrantRecord,
    service::{Change, server_text},
};

impl Accounts {
    /// All grants (`accounts.manage`), or those that the caller was given, or gives as an owner.
    pub async fn grants(&self, by: &Principal) -> Result<Vec<Grant>, AccountsError> {
        let all = self.sees_all(by);
        let people = self.people();
        let seen = people
            .grants()
            .filter(|grant| all || by.is(grant.account) || by.is(grant.owner));
        let view = |grant: &GrantRecord| Grant {
            account: grant.account,
            server: grant.server,
            verbs: grant.verbs.clone(),
        };
        Ok(seen.map(view).collect())
    }

    /// Sets what an account may do with a server; no verbs: removes the grant. The server's owner
    /// may grant `server.view`, `server.power` and the console's verbs; the rest needs
    /// `accounts.manage`. A scoped token grants only what it can do itself, and as the owner's needs
    /// `server.configure`. The caller passes the owner that hosting knows.
    pub async fn grant(
        &self,
        by: &Principal,
        owner: AccountId,
        grant: Grant,
    ) -> Result<(), AccountsError> {
        let mut verbs = grant.verbs;
        verbs.sort_unstable();
        verbs.dedup();
        let (account, server) = (grant.account, grant.server);
        let subject = Subject::Server { id: server, owner };
        let may = |verb: &Verb| self.allows(by, *verb, subject);
        if !verbs.iter().all(|verb| verb.is_per_server()) {
            return Err(AccountsError::Invalid {
                what: "grant",
                why: "has verbs that are not about one server",
            });
        }
        if !self.sees_all(by) {
            if !by.is(owner) || !may(&Verb::ServerConfigure) {
                return Err(AccountsError::Forbidden("to own the server"));
            }
            if !verbs.iter().all(|verb| verb.is_owners_to_give()) {
                return Err(AccountsError::Forbidden("accounts.manage"));
            }
        }
        // Who has no more than scopes gives no more than them.
        if !verbs.iter().all(may) {
            return Err(AccountsError::Forbidden("the verbs that are granted"));
        }
        let name = self.known(account)?.name;
        let detail = json!({"account": name, "verbs": verbs});
        let record = GrantRecord {
            account,
            server,
            owner,
            verbs,
        };
        let work = move |change: &mut Change<'_, '_>| match change.put_grant(&record)? {
            true => Ok(()),
            false => Err(AccountsError::NoSuch {
                what: "grant",
                id: format!("to {name} for {}", server_text(server)),
            }),
        };
        self.change(
            by.actor.clone(),
            "grant.set",
            server_text(server),
            detail,
            work,
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{
        AccountPatch,
        AccountsError::*,
        Role, ServerId,
        fixture::{Fixture, id, root, scoped, server},
    };

    fn grant(to: &Principal, verbs: &[Verb]) -> Grant {
        Grant {
            account: id(to),
            server: ServerId(3),
            verbs: verbs.to_vec(),
        }
    }

    #[tokio::test]
    async fn an_owner_gives_and_takes_what_is_theirs_to_give() {
        let f = Fixture::new();
        let [ada, bob] = [
            f.person("ada", Role::Host).await,
            f.person("bob", Role::Player).await,
        ];
        let (owner, subject) = (id(&ada), server(3, id(&ada)));
        let can = |accounts: &Accounts, verb| accounts.allows(&bob, verb, subject);
        let given = [Verb::ConsoleRead, Verb::ServerPower];
        f.accounts
            .grant(&ada, owner, grant(&bob, &given))
            .await
            .unwrap();
        for accounts in [&f.accounts, &f.reopened()] {
            assert!(can(accounts, Verb::ServerPower) && can(accounts, Verb::ConsoleRead));
            assert!(!can(accounts, Verb::ConsoleWrite));
            assert!(!accounts.allows(&bob, Verb::ServerPower, server(4, owner)));
        }
        for seen_by in [&ada, &bob, &root()] {
            let grants = f.accounts.grants(seen_by).await.unwrap();
            assert_eq!(
                grants,
                [grant(&bob, &[Verb::ServerPower, Verb::ConsoleRead])]
            );
        }
        let eve = f.person("eve", Role::Host).await;
        assert_eq!(f.accounts.grants(&eve).await.unwrap(), []);
        f.accounts
            .grant(&ada, owner, grant(&bob, &[]))
            .await
            .unwrap();
        assert!(!can(&f.accounts, Verb::ServerPower));
        let again = f.accounts.grant(&ada, owner, grant(&bob, &[])).await;
        assert!(matches!(again, Err(NoSuch { what: "grant", .. })));
        let delete = grant(&bob, &[Verb::ServerDelete]);
        assert!(matches!(
            f.accounts.grant(&ada, owner, delete.clone()).await,
            Err(Forbidden(_))
        ));
        f.accounts.grant(&root(), owner, delete).await.unwrap();
        assert!(can(&f.accounts, Verb::ServerDelete));
    }

    #[tokio::test]
    async fn nobody_gives_what_they_cannot_do() {
        let f = Fixture::new();
        let [ada, bob] = [
            f.person("ada", Role::Host).await,
            f.person("bob", Role::Player).await,
        ];
        let eve = f.person("eve", Role::Admin).await;
        let refused = async |by: &Principal, owner: &Principal, verbs: &[Verb]| {
            let answer = f.accounts.grant(by, id(owner), grant(&bob, verbs)).await;
            matches!(answer, Err(Forbidden(_)))
        };
        let view = [Verb::ServerView];
        assert!(refused(&bob, &ada, &view).await);
        assert!(refused(&bob, &bob, &view).await, "an owner below host");
        assert!(refused(&scoped(&ada, &view), &ada, &view).await);
        let configure = scoped(&ada, &[Verb::ServerConfigure, Verb::ServerView]);
        assert!(refused(&configure, &ada, &[Verb::ConsoleWrite]).await);
        assert!(!refused(&configure, &ada, &view).await);
        let manage = scoped(&eve, &[Verb::AccountsManage]);
        assert!(refused(&manage, &ada, &[Verb::ServerDelete]).await);
        let box_wide = f
            .accounts
            .grant(&root(), id(&ada), grant(&bob, &[Verb::BoxManage]))
            .await;
        assert!(matches!(box_wide, Err(Invalid { what: "grant", .. })));
    }

    #[tokio::test]
    async fn a_grant_to_a_guest_sleeps_and_an_owners_power_sleeps_below_host() {
        let f = Fixture::new();
        let [ada, bob] = [
            f.person("ada", Role::Host).await,
            f.person("bob", Role::Guest).await,
        ];
        let (owner, subject) = (id(&ada), server(3, id(&ada)));
        f.accounts
            .grant(&ada, owner, grant(&bob, &[Verb::ServerPower]))
            .await
            .unwrap();
        assert!(!f.accounts.allows(&bob, Verb::ServerPower, subject));
        let become_a = async |who: &Principal, role| {
            let patch = AccountPatch {
                role: Some(role),
                ..AccountPatch::default()
            };
            f.accounts.update(&root(), id(who), patch).await.unwrap();
        };
        become_a(&bob, Role::Player).await;
        assert!(f.accounts.allows(&bob, Verb::ServerPower, subject));
        become_a(&ada, Role::Player).await;
        assert!(!f.accounts.allows(&ada, Verb::ServerPower, subject));
        become_a(&ada, Role::Host).await;
        assert!(f.accounts.allows(&ada, Verb::ServerPower, subject));
    }
}
