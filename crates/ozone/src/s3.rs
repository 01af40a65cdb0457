//! `ozone s3`: secrets of S3 users (`S3Shell`).

use std::io::{self, Write};

use clap::{Args, Subcommand};
use ozone_client::s3_secret::S3Secret;
use ozone_client::{OmAddress, OzoneClient, user};

use crate::cli::GlobalArgs;
use crate::failure::Failure;
use crate::interactive::ManyArgs;
use crate::sh::Session;

/// `ozone s3`.
#[derive(Args, Debug)]
pub struct S3Args {
    /// How to take commands, if none is here.
    #[command(flatten)]
    pub many: ManyArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<S3Command>,
}

/// Verbs of `ozone s3`.
#[derive(Subcommand, Debug)]
pub enum S3Command {
    /// Make a secret for a user, and show it this once
    #[command(visible_alias = "get-secret")]
    Getsecret(GetArgs),
    /// Set a user's secret
    #[command(visible_alias = "set-secret")]
    Setsecret(SetArgs),
    /// Forget a user's secret
    Revokesecret(RevokeArgs),
}

/// Whose secret, and where.
#[derive(Args, Debug)]
pub struct Whose {
    /// The user (access id); another than you for administrators only
    #[arg(short = 'u', value_name = "username")]
    user: Option<String>,
    /// Service id of the Ozone Managers, where there are several services
    #[arg(long = "om-service-id", value_name = "omServiceID")]
    service: Option<String>,
}

/// Options of `getsecret`.
#[derive(Args, Debug)]
pub struct GetArgs {
    #[command(flatten)]
    whose: Whose,
    /// As `export` lines, for eval $(ozone s3 getsecret -e)
    #[arg(short)]
    export: bool,
}

/// Options of `setsecret`.
#[derive(Args, Debug)]
pub struct SetArgs {
    #[command(flatten)]
    whose: Whose,
    /// The secret, at least 8 characters
    #[arg(short, long = "secretKey", visible_alias = "secret", value_name = "secretKey")]
    secret: String,
    /// As `export` lines, for eval $(ozone s3 setsecret -e …)
    #[arg(short)]
    export: bool,
}

/// Options of `revokesecret`.
#[derive(Args, Debug)]
pub struct RevokeArgs {
    #[command(flatten)]
    whose: Whose,
    /// Do not ask
    #[arg(short)]
    yes: bool,
}

impl S3Command {
    /// Name and user.
    fn parts(&self) -> (&'static str, &Whose) {
        match self {
            Self::Getsecret(args) => ("getsecret", &args.whose),
            Self::Setsecret(args) => ("setsecret", &args.whose),
            Self::Revokesecret(args) => ("revokesecret", &args.whose),
        }
    }
}

/// Runs `ozone s3 …`.
///
/// # Errors
/// What to print, and the exit code.
pub fn run(global: &GlobalArgs, command: &S3Command) -> Result<(), Failure> {
    let session = Session::new(global.configuration()?, global.verbose);
    let (name, whose) = command.parts();
    if !session.conf.boolean("ozone.security.enabled", false)? {
        // Told, but no failure.
        eprintln!(
            "Error: 'ozone s3 {name}' operation works only when security is enabled. To enable \
             security set ozone.security.enabled to true."
        );
        return Ok(());
    }
    let client = session.client_of(&address(&session, whose.service.as_deref())?)?;
    let user = whose.user.clone().filter(|user| !user.is_empty()).unwrap_or_else(user::current);
    match command {
        S3Command::Getsecret(get) => {
            let secret = session.block_on(async { Ok(client.get_s3_secret(&user).await?) })?;
            show(&session, &secret, get.export)
        }
        S3Command::Setsecret(set) => {
            let done = client.set_s3_secret(&user, &set.secret);
            let secret = session.block_on(async { Ok(done.await?) })?;
            show(&session, &secret, set.export)
        }
        S3Command::Revokesecret(revoke) => forget(&session, &client, &user, revoke.yes),
    }
}

/// Which Ozone Managers (`OzoneAddress.createClientForS3Commands`).
fn address(session: &Session, service: Option<&str>) -> Result<OmAddress, Failure> {
    let Some(service) = service else { return Ok(OmAddress::Configured) };
    let known = session.conf.list("ozone.om.service.ids")?;
    if known.iter().any(|id| id == service) {
        return Ok(OmAddress::Named(service.to_owned(), None));
    }
    Err(Failure::new(format!(
        "Service ID specified does not match with ozone.om.service.ids defined in the \
         configuration. Configured ozone.om.service.ids are[{}]",
        known.join(", ")
    )))
}

fn show(session: &Session, secret: &S3Secret, export: bool) -> Result<(), Failure> {
    let S3Secret { access_id, secret } = secret;
    if export {
        session.print(&format!("export AWS_ACCESS_KEY_ID='{access_id}'"))?;
        return session.print(&format!("export AWS_SECRET_ACCESS_KEY='{secret}'"));
    }
    session.print(&format!("awsAccessKey={access_id}\nawsSecret={secret}"))
}

fn forget(session: &Session, client: &OzoneClient, user: &str, yes: bool) -> Result<(), Failure> {
    if !yes {
        let mut out = io::stdout().lock();
        write!(out, "Enter 'y' to confirm S3 secret revocation for '{user}': ")?;
        out.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        drop(out);
        if !answer.trim().eq_ignore_ascii_case("y") {
            return session.print("Operation cancelled.");
        }
    }
    session.block_on(async { Ok(client.revoke_s3_secret(user).await?) })?;
    session.print("S3 secret revoked.")
}
