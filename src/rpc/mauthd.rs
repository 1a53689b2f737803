//! mauthd: accounts, for a web site that has them made and checked here.

use super::{
    Daemon, Services,
    fault::{Code, Fault},
    method::{Args, Asked, Method, Outcome, Type},
    wire::Value,
};
use crate::accounts::{
    AccountId, AccountView, AccountsError, Enrolment, Secret, Subject, Verb, success_url,
};

pub(super) fn methods() -> Vec<Method> {
    vec![
        Method::new(
            Daemon::Mauthd,
            "register_user",
            "Makes an account and mails a link to its address; it begins once that link was opened, and is gone after \
             4 days without. pw_hash is the password, its SHA-1 or its MD5, in hex. success_url, which may hold \
             %(uid)s and %(username)s, is where the browser goes then: this box, or one of http.redirects; empty: \
             a page of the box. Returns the account's id.",
            register_user,
        )
        .takes("username", Type::String)
        .takes("pw_hash", Type::String)
        .takes("email", Type::String)
        .takes("success_url", Type::String)
        .returns(Type::Int)
        .changes(),
        Method::new(
            Daemon::Mauthd,
            "check_login",
            "Says whose name and password that is, and notes that they came; returns the account's id. Faults: no \
             such account (2012), its mail address is not verified (2011), the password is wrong (2013).",
            check_login,
        )
        .takes("username", Type::String)
        .takes("pw_hash", Type::String)
        .returns(Type::Int)
        .changes(),
        Method::new(
            Daemon::Mauthd,
            "change_password",
            "Sets a password, one's own or with accounts.manage anybody's, and ends all sessions.",
            change_password,
        )
        .takes("user_id", Type::Int)
        .takes("new_password", Type::String)
        .changes(),
        Method::new(
            Daemon::Mauthd,
            "change_email",
            "Changes a mail address, one's own or with accounts.manage anybody's. It must be verified by the link that \
             is mailed there before the next login.",
            change_email,
        )
        .takes("user_id", Type::Int)
        .takes("new_email", Type::String)
        .changes(),
        Method::new(
            Daemon::Mauthd,
            "forgot_password",
            "Mails a link for a new password to whoever has verified that address. Returns true whether or not \
             somebody has.",
            forgot_password,
        )
        .takes("email", Type::String)
        .changes(),
    ]
}

async fn register_user(services: Services, mut asked: Asked) -> Outcome {
    let name = asked.args.text()?;
    let password = Secret::new(asked.args.text()?);
    let mail = asked.args.text()?;
    let success = asked.args.text()?;
    let success = match success.is_empty() {
        true => None,
        false => {
            // As it will be asked for: what is put in must not make another host of it.
            let filled = success_url(&success, AccountId(1), "a");
            let good = services.redirects.check(&filled);
            good.map_err(|error| Fault::argument("success_url", error))?;
            Some(success)
        }
    };
    let wish = Enrolment {
        name: &name,
        password: &password,
        mail: &mail,
        success,
    };
    id(&services.accounts.enrol(&asked.by, wish).await?)
}

async fn check_login(services: Services, mut asked: Asked) -> Outcome {
    let name = asked.args.text()?;
    let password = Secret::new(asked.args.text()?);
    let accounts = &services.accounts;
    let checked = accounts.check_login(&asked.by, &name, &password).await;
    match checked {
        Ok(account) => id(&account),
        Err(error) => {
            services.metrics.login_failed();
            let code = match &error {
                AccountsError::NoSuchAccount(_) => Code::BadUsername,
                AccountsError::WrongCredentials | AccountsError::LockedOut { .. } => {
                    Code::BadPassword
                }
                _ => return Err(error.into()),
            };
            Err(Fault::new(code, error.to_string()))
        }
    }
}

async fn change_password(services: Services, mut asked: Asked) -> Outcome {
    let account = account(&services, &mut asked)?;
    let new = Secret::new(asked.args.text()?);
    let accounts = &services.accounts;
    accounts.change_password(&asked.by, account, &new).await?;
    Ok(true.into())
}

async fn change_email(services: Services, mut asked: Asked) -> Outcome {
    let account = account(&services, &mut asked)?;
    let new = asked.args.text()?;
    services
        .accounts
        .change_mail(&asked.by, account, &new)
        .await?;
    Ok(true.into())
}

async fn forgot_password(services: Services, mut asked: Asked) -> Outcome {
    let mail = asked.args.text()?;
    let accounts = &services.accounts;
    accounts.forgot_password(&asked.caller, &mail).await?;
    Ok(true.into())
}

/// The account of the next argument. Who may only change their own is not told whether there is another.
fn account(services: &Services, asked: &mut Asked) -> Result<AccountId, Fault> {
    let number = Args::int(&mut asked.args)?;
    let trusted = services
        .accounts
        .allows(&asked.by, Verb::AccountsManage, Subject::Box);
    let none = || match trusted {
        true => Fault::new(Code::NoSuchUser, format!("no account {number}")),
        false => AccountsError::Forbidden("accounts.manage").into(),
    };
    u64::try_from(number).map(AccountId).map_err(|_| none())
}

fn id(account: &AccountView) -> Outcome {
    // Ids are counted up from one: nobody makes as many accounts.
    let id = i64::try_from(account.id.0);
    let id = id.map_err(|error| Fault::internal("the account's id is no int", &error))?;
    Ok(Value::Int(id))
}
