//! The server's identity: its certificate, and how a client recognises it.
//!
//! A self-signed certificate is recognised by its SHA-256 hash, which reaches the client with the
//! transport offer over HTTPS. Without a hash the platform's certificate authorities decide.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A self-signed certificate lives 13 days in all: browsers accept a hash only up to 14.
pub const LIFETIME: Duration = Duration::from_hours(13 * 24);
/// It begins an hour in the past, for clients whose clock is behind.
pub const BACKDATING: Duration = Duration::from_hours(1);

/// The server's certificate chain and its key.
pub struct ServerCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    sha256: String,
}

impl Clone for ServerCertificate {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
            sha256: self.sha256.clone(),
        }
    }
}

/// When a certificate may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub from: SystemTime,
    /// Not after that.
    pub until: SystemTime,
}

/// The key stays out of logs.
impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificate")
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

/// A certificate that cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read, or is no PEM file of that kind.
    #[error("{file} is no readable PEM file: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate file has no certificate.
    #[error("{file} contains no certificate")]
    Empty {
        /// The file.
        file: String,
    },
    /// A name is neither a host name nor an address, or the system has no random source.
    #[error("no certificate could be made: {0}")]
    Generation(#[from] rcgen::Error),
    /// Certificate and key do not fit each other or TLS.
    #[error("the certificate cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// The text is no hash.
    #[error("a certificate hash has 64 hexadecimal digits")]
    InvalidHash,
}

impl ServerCertificate {
    /// Makes a self-signed ECDSA P-256 certificate for these host names and addresses, valid from
    /// [`BACKDATING`] before `now` for [`LIFETIME`].
    ///
    /// # Errors
    ///
    /// [`IdentityError::Generation`].
    pub fn self_signed(names: &[String], now: SystemTime) -> Result<Self, IdentityError> {
        let mut params = CertificateParams::new(names)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "GameServer instance");
        params.not_before = (now - BACKDATING).into();
        params.not_after = (now - BACKDATING + LIFETIME).into();
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.self_signed(&key)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok(Self::new(vec![certificate.der().clone()], key.into()))
    }

    /// Reads a chain (own certificate first) and its key from PEM files.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Unreadable`] and [`IdentityError::Empty`].
    pub fn from_pem_files(chain: &Path, key: &Path) -> Result<Self, IdentityError> {
        let unreadable = |path: &Path, source| IdentityError::Unreadable {
            file: path.display().to_string(),
            source,
        };
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(chain).and_then(Iterator::collect);
        let certificates = certificates.map_err(|source| unreadable(chain, source))?;
        if certificates.is_empty() {
            return Err(IdentityError::Empty {
                file: chain.display().to_string(),
            });
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(|source| unreadable(key, source))?;
        Ok(Self::new(certificates, key))
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        let sha256 = chain
            .first()
            .map(|own| hex(&hash_of(own)))
            .unwrap_or_default();
        Self { chain, key, sha256 }
    }

    /// SHA-256 of the server's own certificate in lower-case hex, as transport offers carry it.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// When it may be used, by its own fields; `None` when it is no X.509 that can be read.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        let (_, own) = x509_parser::parse_x509_certificate(self.chain.first()?).ok()?;
        let time = |timestamp: i64| {
            // Before 1970 nothing here was valid.
            let seconds = u64::try_from(timestamp).unwrap_or_default();
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        };
        let validity = own.validity();
        Some(Validity {
            from: time(validity.not_before.timestamp()),
            until: time(validity.not_after.timestamp()),
        })
    }

    /// TLS 1.3 for QUIC, without 0-RTT: a replayed Hello would be a second use of a ticket.
    pub(crate) fn tls_config(&self, alpn: &[&[u8]]) -> Result<ServerConfig, IdentityError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = alpn.iter().map(|each| each.to_vec()).collect();
        config.max_early_data_size = 0;
        Ok(config)
    }
}

/// How a client recognises the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerIdentity {
    /// By the SHA-256 of its certificate; name and dates do not matter.
    Sha256([u8; 32]),
    /// By its name, vouched for by an authority that this computer trusts.
    PlatformRoots,
}

impl ServerIdentity {
    /// Reads the hash of a transport offer.
    ///
    /// # Errors
    ///
    /// [`IdentityError::InvalidHash`] when there is a text that is no hash.
    pub fn from_offer(certificate_sha256: Option<&str>) -> Result<Self, IdentityError> {
        let Some(text) = certificate_sha256 else {
            return Ok(Self::PlatformRoots);
        };
        let mut hash = [0; 32];
        if text.len() != 2 * hash.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(IdentityError::InvalidHash);
        }
        for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| IdentityError::InvalidHash)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| IdentityError::InvalidHash)?;
        }
        Ok(Self::Sha256(hash))
    }

    /// TLS 1.3 to a server of this identity. Sessions are not resumed, so that each connection
    /// checks the certificate anew.
    pub(crate) fn tls_config(self, alpn: Option<&[u8]>) -> Result<ClientConfig, IdentityError> {
        let verifier: Arc<dyn ServerCertVerifier> = match self {
            Self::Sha256(hash) => Arc::new(PinnedCertificate::new(hash)),
            Self::PlatformRoots => platform_verifier()?,
        };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = alpn.map(<[u8]>::to_vec).into_iter().collect();
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

/// Accepts exactly one certificate. The peer still has to prove that it has the key, because the
/// handshake's signatures are verified as ever.
#[derive(Debug)]
struct PinnedCertificate {
    sha256: [u8; 32],
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinnedCertificate {
    fn new(sha256: [u8; 32]) -> Self {
        Self {
            sha256,
            algorithms: provider().signature_verification_algorithms,
        }
    }
}

impl ServerCertVerifier for PinnedCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if bool::from(hash_of(end_entity).ct_eq(&self.sha256)) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The cryptography of this crate; never the process's default, which a dependency may change.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())))
}

fn platform_verifier() -> Result<Arc<WebPkiServerVerifier>, IdentityError> {
    // Read once: it is a file of some hundred certificates.
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()).into())
}

fn hash_of(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate.as_ref()).into()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn certificate() -> ServerCertificate {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        ServerCertificate::self_signed(&names, SystemTime::UNIX_EPOCH + LIFETIME).unwrap()
    }

    fn verify(pinned: [u8; 32], shown: &ServerCertificate) -> bool {
        let name = ServerName::try_from("localhost").unwrap();
        let now = UnixTime::since_unix_epoch(Duration::ZERO);
        let verifier = PinnedCertificate::new(pinned);
        verifier
            .verify_server_cert(&shown.chain[0], &[], &name, &[], now)
            .is_ok()
    }

    #[test]
    fn a_pinned_certificate_is_recognised_and_another_one_is_not() {
        let (ours, other) = (certificate(), certificate());
        let ServerIdentity::Sha256(pin) = ServerIdentity::from_offer(Some(ours.sha256())).unwrap()
        else {
            panic!("a hash was read as something else")
        };
        assert!(verify(pin, &ours));
        assert!(!verify(pin, &other));
    }

    #[test]
    fn a_certificate_says_when_it_may_be_used() {
        let now = SystemTime::UNIX_EPOCH + LIFETIME * 100;
        let made = ServerCertificate::self_signed(&["localhost".to_owned()], now).unwrap();
        let from = now - BACKDATING;
        let until = from + LIFETIME;
        assert_eq!(made.validity(), Some(Validity { from, until }));
    }

    #[test]
    fn a_text_that_is_no_hash_is_refused() {
        for text in ["", "00", &"g".repeat(64), &"+f".repeat(32), &"ä".repeat(32)] {
            assert!(
                ServerIdentity::from_offer(Some(text)).is_err(),
                "{text:?} was accepted"
            );
        }
        assert_eq!(
            ServerIdentity::from_offer(None).unwrap(),
            ServerIdentity::PlatformRoots
        );
    }

    #[test]
    fn a_certificate_from_pem_files_has_the_hash_of_its_own_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let made = params.self_signed(&key).unwrap();
        let (chain_file, key_file) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        fs::write(&chain_file, made.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        let loaded = ServerCertificate::from_pem_files(&chain_file, &key_file).unwrap();
        assert_eq!(loaded.sha256(), hex(&hash_of(made.der())));
        assert!(loaded.tls_config(&[b"gs/1"]).is_ok());
    }

    #[test]
    fn a_file_without_a_certificate_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        fs::write(&empty, "").unwrap();
        let loaded = ServerCertificate::from_pem_files(&empty, &empty);
        assert!(matches!(loaded, Err(IdentityError::Empty { .. })));
    }
}
