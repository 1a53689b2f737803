//! Which box it is: TLS with the authority that it shows, and what of that is remembered.
//!
//! A box has an authority of its own, which signs for that box alone, under whatever name or address it has today. So
//! the authority is what is remembered, the first time; the names in the certificate say nothing more. The file has a
//! line for each lobby: `HOST:PORT SHA256:FINGERPRINT`.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
        client::{
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
            verify_server_cert_signed_by_trust_anchor,
        },
        crypto::{self, WebPkiSupportedAlgorithms, ring},
        pki_types::{CertificateDer, ServerName, UnixTime},
        server::ParsedCertificate,
        version::{TLS12, TLS13},
    },
};

use super::{super::home, PlayError};
use crate::tls;

/// What an authority is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint(String);

impl Fingerprint {
    fn of(certificate: &[u8]) -> Self {
        Self(tls::fingerprint(certificate))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The file in which lobbies are remembered; none without a home.
pub(super) fn file() -> Option<PathBuf> {
    Some(home::folder("play")?.join("lobbies"))
}

/// What is remembered of the lobby at `address`.
pub(super) fn recall(file: &Path, address: &str) -> io::Result<Option<Fingerprint>> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&text);
    let found = text.lines().filter_map(|line| line.split_once(' '));
    let mut found = found.filter(|(known, _)| known.eq_ignore_ascii_case(address));
    Ok(found
        .next()
        .map(|(_, print)| Fingerprint(print.trim().into())))
}

/// Remembers the lobby at `address`.
pub(super) fn remember(file: &Path, address: &str, print: &Fingerprint) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    let mut file = options.open(file)?;
    // Whoever edited it may have left its last line without an end, and so may a full disk.
    let mut last = [b'\n'];
    if let Some(at) = file.metadata()?.len().checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    let end = if last == [b'\n'] { "" } else { "\n" };
    // One write, so that two programs at once spoil nothing.
    file.write_all(format!("{end}{address} {print}\n").as_bytes())?;
    file.sync_all()
}

/// Speaks TLS from here on, with whoever it is; and who that is.
pub(super) async fn cover(
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, Fingerprint), PlayError> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("ring speaks both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OwnAuthority(algorithms)))
        .with_no_client_auth();
    let peer = stream.peer_addr()?.ip().into();
    let connecting =
        TlsConnector::from(Arc::new(config)).connect(ServerName::IpAddress(peer), stream);
    let stream = connecting.await.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => PlayError::Tls(error),
        _ => PlayError::Broke(error),
    })?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let authority = shown
        .last()
        .expect("a handshake without a certificate fails");
    let print = Fingerprint::of(authority);
    Ok((stream, print))
}

/// Believes a certificate that the last one beside it has signed, or that is alone; whose it is, is seen later.
#[derive(Debug)]
struct OwnAuthority(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for OwnAuthority {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some((authority, between)) = others.split_last() {
            let mut roots = RootCertStore::empty();
            roots.add(authority.clone().into_owned())?;
            let leaf = ParsedCertificate::try_from(leaf)?;
            verify_server_cert_signed_by_trust_anchor(&leaf, &roots, between, now, self.0.all)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, leaf, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, leaf, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::store::Store;

    #[test]
    fn a_lobby_is_remembered_by_its_address_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lobbies");
        assert_eq!(recall(&file, "box:1").unwrap(), None);
        let print = Fingerprint::of(b"one");
        remember(&file, "box:1", &print).unwrap();
        remember(&file, "box:2", &Fingerprint::of(b"two")).unwrap();
        assert_eq!(recall(&file, "Box:1").unwrap(), Some(print.clone()));
        assert_ne!(recall(&file, "box:2").unwrap(), Some(print));
        assert_eq!(recall(&file, "box:12").unwrap(), None);
        assert!(recall(folder.path(), "box:1").is_err());
    }

    #[test]
    fn a_last_line_without_an_end_stays_a_line_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lobbies");
        let [one, two] = [&b"one"[..], b"two"].map(Fingerprint::of);
        fs::write(&file, format!("box:1 {one}")).unwrap();
        remember(&file, "box:2", &two).unwrap();
        assert_eq!(recall(&file, "box:1").unwrap(), Some(one.clone()));
        assert_eq!(recall(&file, "box:2").unwrap(), Some(two.clone()));
        let whole = format!("box:1 {one}\nbox:2 {two}\n");
        assert_eq!(fs::read_to_string(&file).unwrap(), whole);
    }

    /// Who somebody finds behind a box's door, and what they are shown.
    async fn found(state: &Path) -> (Fingerprint, Vec<CertificateDer<'static>>) {
        let identity = tls::identity(&Store::open(state).unwrap()).await.unwrap();
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(door.local_addr().unwrap());
        let (near, far) = tokio::join!(near, door.accept());
        let (far, _) = far.unwrap();
        let (covered, _) = tokio::join!(cover(near.unwrap()), identity.acceptor.accept(far));
        let (stream, print) = covered.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        (print, shown.to_vec())
    }

    #[tokio::test]
    async fn a_box_is_the_same_after_a_restart_and_another_box_is_another() {
        let [here, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let (one, _) = found(here.path()).await;
        assert_eq!(found(here.path()).await.0, one);
        assert_ne!(found(elsewhere.path()).await.0, one);
    }

    #[tokio::test]
    async fn who_shows_anothers_authority_beside_their_own_certificate_is_nobody() {
        let [here, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let (_, own) = found(here.path()).await;
        let (_, other) = found(elsewhere.path()).await;
        let verifier = OwnAuthority(ring::default_provider().signature_verification_algorithms);
        let name = ServerName::try_from("localhost").unwrap();
        let believes = |authority: &CertificateDer<'static>| {
            let (beside, now) = ([authority.clone()], UnixTime::now());
            let verified = verifier.verify_server_cert(&own[0], &beside, &name, &[], now);
            verified.is_ok()
        };
        assert!(believes(&own[1]) && !believes(&other[1]));
    }
}
