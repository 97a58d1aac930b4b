//! Certificates and keys from files.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};

/// So often at most the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A certificate chain and its private key, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the server, then those between it and its root.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file holds no PEM of the wanted kind.
    #[error("{path}: no {wanted} in PEM form ({problem})")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        wanted: &'static str,
        /// What the parser says.
        problem: String,
    },
    /// Certificate and key do not fit together, or are of an unknown kind.
    #[error("{path}: {source}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
}

/// Accepts with the files as they are now: a renewed certificate needs no restart.
pub(crate) struct Acceptor {
    files: TlsFiles,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    acceptor: TlsAcceptor,
    content: Option<u64>,
    looked: Instant,
}

impl Acceptor {
    pub(crate) fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let content = content(&files);
        let acceptor = load(&files)?;
        let loaded = Mutex::new(Loaded {
            acceptor,
            content,
            looked: Instant::now(),
        });
        Ok(Self { files, loaded })
    }

    /// The acceptor for a new connection. Files that changed but cannot be used leave the old one.
    pub(crate) fn current(&self) -> TlsAcceptor {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.looked.elapsed() >= LOOK {
            loaded.looked = Instant::now();
            let content = content(&self.files);
            if content != loaded.content {
                loaded.content = content;
                match load(&self.files) {
                    Ok(acceptor) => loaded.acceptor = acceptor,
                    Err(problem) => {
                        tracing::warn!(%problem, "the changed certificate is not used");
                    }
                }
            }
        }
        loaded.acceptor.clone()
    }
}

/// What tells contents apart: a folder of secrets may be exchanged whole by a link, and its files have
/// the same names, and times that say nothing.
fn content(files: &TlsFiles) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    for path in [&files.certificate, &files.key] {
        std::fs::read(path).ok()?.hash(&mut hasher);
    }
    Some(hasher.finish())
}

fn load(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(&files.certificate)?;
    let path = &files.key;
    let key = PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|problem| not_pem(path, "private key", &problem))?;
    let unusable = |source| TlsError::Unusable {
        path: files.certificate.clone(),
        source,
    };
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What a client needs to know a server by the certificates in a file.
pub(crate) fn client_config(roots: &Path) -> Result<ClientConfig, TlsError> {
    let unusable = |source| TlsError::Unusable {
        path: roots.to_owned(),
        source,
    };
    let mut store = RootCertStore::empty();
    for certificate in certificates(roots)? {
        store.add(certificate).map_err(unusable)?;
    }
    with_roots(store).map_err(unusable)
}

/// A client that knows others by these certificates.
pub(crate) fn with_roots(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wanted = "certificate";
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|problem| not_pem(path, wanted, &problem))?;
    if chain.is_empty() {
        return Err(not_pem(path, wanted, &pem::Error::NoItemsFound));
    }
    Ok(chain)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn not_pem(path: &Path, wanted: &'static str, problem: &pem::Error) -> TlsError {
    TlsError::NotPem {
        path: path.to_owned(),
        wanted,
        problem: problem.to_string(),
    }
}
