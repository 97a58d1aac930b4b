//! TLS to the server, as libpq's `sslmode` says (PostgreSQL 15, section 34.19).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::settings::Verify;
use crate::StoreError;

/// How connections are encrypted; a file with certificates is read again for each.
pub(super) struct Tls {
    verify: Verify,
    ca_file: Option<PathBuf>,
    /// As it was when the file could last be used.
    last: Mutex<MakeRustlsConnect>,
}

impl Tls {
    pub(super) fn new(verify: Verify, ca_file: Option<PathBuf>) -> Result<Self, StoreError> {
        let last = Mutex::new(connector(verify, ca_file.as_deref())?);
        Ok(Self {
            verify,
            ca_file,
            last,
        })
    }

    /// With the certificates of now; where they cannot be used, with those before.
    pub(super) fn now(&self) -> MakeRustlsConnect {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // What the system trusts is read at the start.
        if self.ca_file.is_some() {
            match connector(self.verify, self.ca_file.as_deref()) {
                Ok(now) => *last = now,
                Err(error) => tracing::warn!(%error, "the changed certificates are not used"),
            }
        }
        last.clone()
    }
}

fn connector(verify: Verify, ca_file: Option<&Path>) -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(ring::default_provider());
    let refused = |error: &dyn std::fmt::Display| StoreError::Address {
        problem: format!("TLS cannot be used: {error}"),
    };
    let roots = match verify {
        Verify::Disable | Verify::Require => RootCertStore::empty(),
        Verify::Authority | Verify::Full => roots(ca_file)?,
    };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&error))?;
    let config = match verify {
        Verify::Full => builder.with_root_certificates(roots).with_no_client_auth(),
        Verify::Disable | Verify::Require | Verify::Authority => {
            let authority = match verify {
                Verify::Authority => Some(
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                        .build()
                        .map_err(|error| refused(&error))?,
                ),
                _ => None,
            };
            let lenient = Lenient {
                provider,
                authority,
            };
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(lenient))
                .with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    let Some(file) = ca_file else {
        // Certificates that cannot be read are left out: those that count may be among the others.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let refused = |problem: String| StoreError::Address {
        problem: format!(
            "the certificates in {} cannot be used: {problem}; name a file with certificates in PEM",
            file.display()
        ),
    };
    let certificates = CertificateDer::pem_file_iter(file)
        .map_err(|error| refused(error.to_string()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| refused(error.to_string()))?;
    if certificates.is_empty() {
        return Err(refused("there is none in it".to_owned()));
    }
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| refused(error.to_string()))?;
    }
    Ok(roots)
}

/// Accepts any host (`verify-ca`), or anybody (`require`); what is sent is encrypted all the same.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    authority: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        let judged = authority.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match judged {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
