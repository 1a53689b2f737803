//! The box's own certificates: nobody on a LAN has others.
//!
//! Owns the key of the box's authority and the certificate that every TLS door shows. Refuses to know what is
//! spoken behind it.
//!
//! ```text
//!  first start:  key + authority (2000 to 2049) ─► store, table `authority` ─► backups
//!  each start:   new key + certificate for this box (yesterday to two years on), signed by the authority
//!                   names: the machine's, that with `.local`, localhost, the addresses of its cards
//! ```
//!
//! Who imports the authority's certificate once trusts the box under every name and address that it will have. Its
//! dates are wide and fixed, because a box without a battery may make it before it knows the time. The authority's
//! key leaves the store for one signature at each start.

mod records;

use std::{fmt, net::IpAddr, sync::Arc};

use jiff::{ToSpan as _, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use sha2::{Digest as _, Sha256};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
        version::{TLS12, TLS13},
    },
};

use self::records::{AUTHORITIES, BOX};
use crate::{
    net,
    store::{Catalog, Store, StoreError},
};

pub use records::Authority;

/// The most that a common name holds.
const NAME: usize = 64;

/// The catalog, with the records of this room.
#[must_use]
pub fn tables(catalog: Catalog) -> Catalog {
    catalog.with::<Authority>()
}

/// What a door shows.
#[derive(Clone)]
pub struct Identity {
    /// Makes a connection a TLS one: 1.2 or 1.3.
    pub acceptor: TlsAcceptor,
    /// The authority's certificate, for others to trust.
    pub authority_pem: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored authority's key is none.
    #[error("the key of the box's authority cannot be used: {0}")]
    Key(rcgen::Error),
    /// A certificate could not be made.
    #[error("no certificate can be made for this box: {0}")]
    Certificate(rcgen::Error),
    /// TLS does not take what was made.
    #[error("this box's certificate cannot be used: {0}")]
    Unfit(rustls::Error),
}

/// What a certificate is known by, when two people compare it: the hash of its DER.
#[must_use]
pub fn fingerprint(certificate: &[u8]) -> String {
    let hash = Sha256::digest(certificate);
    format!("SHA256:{}", data_encoding::BASE64_NOPAD.encode(&hash))
}

/// A fresh certificate of the box's authority, which is made on first need.
pub async fn identity(store: &Store) -> Result<Identity, TlsError> {
    let host = net::host_name();
    let authority = match store.get(AUTHORITIES, BOX)? {
        Some(authority) => authority,
        None => {
            let made = Authority::new(&host)?;
            // Of two who make one at once, the first is kept.
            let keep = |tx: &mut crate::store::Tx<'_>| {
                let kept = tx.get(AUTHORITIES, BOX)?;
                if kept.is_none() {
                    tx.put(AUTHORITIES, BOX, &made)?;
                }
                Ok::<_, StoreError>(kept)
            };
            let kept = store.write(keep).await?;
            kept.unwrap_or(made)
        }
    };
    let today = jiff::Timestamp::now().to_zoned(TimeZone::UTC).date();
    let (leaf, key) = authority.issue(&host, net::addresses(), today)?;
    tracing::info!(
        fingerprint = fingerprint(&authority.certificate),
        "this box's authority"
    );
    let root = CertificateDer::from(authority.certificate.clone());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Unfit)?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone(), root], key)
        .map_err(TlsError::Unfit)?;
    Ok(Identity {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        authority_pem: pem(&authority.certificate),
    })
}

impl Authority {
    fn new(host: &str) -> Result<Self, TlsError> {
        let key = KeyPair::generate().map_err(TlsError::Certificate)?;
        // A box that was set up anew is another authority, and must not be called like the one before.
        let mut unlike = [0; 4];
        getrandom::fill(&mut unlike).expect("a running kernel has random bytes");
        let unlike = data_encoding::HEXLOWER.encode(&unlike);
        let room = NAME - "Longhouse  ".len() - unlike.len();
        let host: String = printable(host).take(room).collect();
        let name = format!("Longhouse {host} {unlike}");
        let made = authority_params(&name).self_signed(&key);
        Ok(Self {
            name,
            certificate: made.map_err(TlsError::Certificate)?.der().to_vec(),
            key: key.serialize_der(),
        })
    }

    /// A certificate for a box of that name with those addresses, and its key.
    fn issue(
        &self,
        host: &str,
        addresses: Vec<IpAddr>,
        today: Date,
    ) -> Result<(Certificate, KeyPair), TlsError> {
        let signer = KeyPair::try_from(self.key.as_slice()).map_err(TlsError::Key)?;
        let issuer = Issuer::new(authority_params(&self.name), signer);
        let mut params = CertificateParams::default();
        params.distinguished_name = called(&printable(host).take(NAME).collect::<String>());
        let [from, to] = [
            today.saturating_sub(1.day()),
            today.saturating_add(2.years()),
        ];
        let day = |date: Date| {
            let [month, day] = [date.month(), date.day()].map(i8::unsigned_abs);
            date_time_ymd(date.year().into(), month, day)
        };
        (params.not_before, params.not_after) = (day(from), day(to));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let names = names(host).into_iter();
        let names = names.filter_map(|name| Some(SanType::DnsName(name.try_into().ok()?)));
        let addresses = addresses.into_iter().map(SanType::IpAddress);
        params.subject_alt_names = names.chain(addresses).collect();
        let key = KeyPair::generate().map_err(TlsError::Certificate)?;
        let made = params.signed_by(&key, &issuer);
        Ok((made.map_err(TlsError::Certificate)?, key))
    }
}

/// The same each time, so that what is issued later names the certificate that people trust.
fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = called(name);
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

/// What a host name is in a certificate.
fn printable(host: &str) -> impl Iterator<Item = char> {
    host.chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '.')
}

/// The names by which this box is reached. What is no host name at all is left out.
fn names(host: &str) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    let is_label = |label: &str| {
        let good = !label.is_empty() && label.len() <= 63 && printable(label).eq(label.chars());
        good && !label.starts_with('-') && !label.ends_with('-')
    };
    if host.len() <= 253 && host.split('.').all(is_label) && host != "localhost" {
        let host = host.to_ascii_lowercase();
        if let Some(label) = host.split('.').next() {
            names.push(format!("{label}.local"));
        }
        if !names.contains(&host) {
            names.push(host);
        }
    }
    names
}

fn pem(der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines: Vec<_> = lines.collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use rustls::{
        ClientConfig, RootCertStore, SupportedProtocolVersion,
        pki_types::{ServerName, pem::PemObject as _},
    };
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::store::restore;

    /// What somebody who trusts this authority alone reads from a box, under that name.
    async fn read(
        identity: &Identity,
        trusted: &str,
        name: &str,
        version: &'static SupportedProtocolVersion,
    ) -> std::io::Result<String> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap();
        roots.add(root).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (near, far) = tokio::io::duplex(1 << 14);
        let acceptor = identity.acceptor.clone();
        let serve = async move {
            let mut stream = acceptor.accept(far).await?;
            stream.write_all(b"hello").await?;
            stream.shutdown().await
        };
        let ask = async {
            let name = ServerName::try_from(name.to_owned()).unwrap();
            let mut stream = TlsConnector::from(Arc::new(config))
                .connect(name, near)
                .await?;
            let mut heard = String::new();
            stream.read_to_string(&mut heard).await?;
            Ok(heard)
        };
        tokio::join!(serve, ask).1
    }

    #[tokio::test]
    async fn who_trusts_the_authority_trusts_the_box_under_each_of_its_names() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let here = identity(&store).await.unwrap();
        let trusted = &here.authority_pem;
        for version in [&TLS12, &TLS13] {
            for name in ["localhost", "127.0.0.1"] {
                let heard = read(&here, trusted, name, version).await;
                assert_eq!(heard.unwrap(), "hello", "{name}");
            }
            assert!(read(&here, trusted, "example.org", version).await.is_err());
        }
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Store::open(elsewhere.path()).unwrap();
        let other = identity(&other).await.unwrap().authority_pem;
        assert!(read(&here, &other, "localhost", &TLS13).await.is_err());
    }

    #[tokio::test]
    async fn the_authority_outlives_restarts_and_comes_along_in_backups() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let (one, other) = tokio::join!(identity(&store), identity(&store));
        let trusted = one.unwrap().authority_pem;
        assert_eq!(other.unwrap().authority_pem, trusted);
        drop(store);
        let store = Store::open(state.path()).unwrap();
        let again = identity(&store).await.unwrap();
        assert_eq!(again.authority_pem, trusted);
        assert!(read(&again, &trusted, "localhost", &TLS13).await.is_ok());

        let catalog = tables(Catalog::new());
        assert_eq!(store.check(&catalog), []);
        let elsewhere = tempfile::tempdir().unwrap();
        let folder = elsewhere.path().to_owned();
        let copied = tokio::task::spawn_blocking(move || {
            let mut file = Vec::new();
            store.backup(&catalog, "now", &mut file).unwrap();
            restore(&folder, &catalog, &file[..]).unwrap()
        });
        assert_eq!(copied.await.unwrap().faults, []);
        let store = Store::open(elsewhere.path()).unwrap();
        let restored = identity(&store).await.unwrap();
        assert!(read(&restored, &trusted, "localhost", &TLS12).await.is_ok());
    }

    #[tokio::test]
    async fn a_key_that_is_none_is_said_and_no_key_is_ever_shown() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let mut authority = Authority::new("box").unwrap();
        let shown = format!("{authority:?}");
        assert!(shown.starts_with("Authority { name: \"Longhouse box ") && shown.len() < 60);
        authority.key.truncate(7);
        let put = |tx: &mut crate::store::Tx<'_>| tx.put(AUTHORITIES, BOX, &authority);
        store.write(put).await.unwrap();
        assert!(matches!(identity(&store).await, Err(TlsError::Key(_))));
    }

    #[test]
    fn whatever_a_machine_is_called_there_is_a_certificate_for_it() {
        let authority = Authority::new(&"x".repeat(200)).unwrap();
        assert_eq!(authority.name.len(), NAME);
        let today = jiff::civil::date(2028, 2, 29);
        for host in [
            "",
            "box",
            "Box.example.org",
            "bücher",
            "-",
            "a b",
            &"x".repeat(300),
        ] {
            let addresses = vec!["2001:db8::1".parse().unwrap()];
            authority.issue(host, addresses, today).unwrap();
        }
        assert_eq!(names("bücher"), ["localhost"]);
        assert_eq!(names("Box"), ["localhost", "box.local", "box"]);
        assert_eq!(names("box.local"), ["localhost", "box.local"]);
    }
}
