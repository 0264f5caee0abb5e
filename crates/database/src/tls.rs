//! TLS for the driver: rustls on aws-lc-rs, in libpq's modes, with the channel
//! binding that SCRAM uses against a server in between.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_lc_rs::digest;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs::default_provider};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use x509_cert::der::{Decode as _, asn1::ObjectIdentifier};

use crate::Error;
use crate::address::{Address, RootCertificate, SslMode};

/// The largest PEM file that is read, in bytes.
const LARGEST_FILE: u64 = 4 << 20;

/// What the driver asks for a TLS stream.
#[derive(Clone)]
pub(crate) struct MakeTls(Arc<ClientConfig>);

impl MakeTls {
    /// TLS as the URL asks for it. Reads the certificate files it names.
    ///
    /// # Errors
    /// `DBS-008`: a file cannot be used.
    pub(crate) fn new(address: &Address) -> Result<Self, Error> {
        let provider = Arc::new(default_provider());
        let verifier = Arc::new(Verifier {
            roots: roots(address, &provider)?,
            by_name: address.ssl_mode() == SslMode::VerifyFull,
            provider: Arc::clone(&provider),
        });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider supports TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &address.client_certificate {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let fail = |why: String| Error::CertificateFile { path: key.clone(), why };
                let key = PrivateKeyDer::from_pem_slice(&read(key)?)
                    .map_err(|_| fail("it has no unencrypted private key in PEM form".into()))?;
                builder.with_client_auth_cert(chain, key).map_err(|e| fail(e.to_string()))?
            }
        };
        // What a server that takes TLS at once looks for (PostgreSQL 17).
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

/// Who is trusted: `None` is whoever answers.
fn roots(address: &Address, provider: &Arc<CryptoProvider>) -> Result<Option<Roots>, Error> {
    let file = match (address.ssl_mode(), &address.root_certificate) {
        (SslMode::Disable | SslMode::Prefer, _) | (SslMode::Require, None) => return Ok(None),
        (_, None | Some(RootCertificate::System)) => None,
        (_, Some(RootCertificate::File(path))) => Some(path),
    };
    let mut store = RootCertStore::empty();
    let given = match file {
        Some(path) => certificates(path)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    // The machine's own list may have what rustls does not understand.
    store.add_parsable_certificates(given.iter().cloned());
    let fail = |why: &str| Error::CertificateFile {
        path: file.cloned().unwrap_or_else(|| "(the machine's trusted certificates)".into()),
        why: why.into(),
    };
    if store.is_empty() {
        return Err(fail("it has no certificate that can be trusted"));
    }
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
        .build()
        .map_err(|e| fail(&e.to_string()))?;
    Ok(Some(Roots { chain, pinned: if file.is_some() { given } else { Vec::new() } }))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    use io::Read as _;
    let fail = |why: String| Error::CertificateFile { path: path.into(), why };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|e| fail(e.to_string()))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(fail(format!("it is larger than {LARGEST_FILE} bytes")));
    }
    Ok(bytes)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let fail = |why: &str| Error::CertificateFile { path: path.into(), why: why.into() };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|_| fail("it is not in PEM form"))?;
    if certificates.is_empty() { Err(fail("it has no certificate in PEM form")) } else { Ok(certificates) }
}

#[derive(Debug)]
struct Roots {
    chain: Arc<WebPkiServerVerifier>,
    /// The certificates of `sslrootcert`: a server may show one of them itself,
    /// as those that sign themselves do.
    pinned: Vec<CertificateDer<'static>>,
}

/// libpq's idea of a server that proves who it is.
#[derive(Debug)]
struct Verifier {
    roots: Option<Roots>,
    by_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        if roots.pinned.iter().any(|pinned| pinned == end_entity) {
            valid_at(end_entity, now)?;
            if self.by_name {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        // The name is looked at last, so this is a chain that was verified.
        match roots.chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.by_name => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        tokio_rustls::rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        tokio_rustls::rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn valid_at(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), TlsError> {
    let bad = |why| Err(TlsError::InvalidCertificate(why));
    let Ok(certificate) = x509_cert::Certificate::from_der(certificate) else {
        return bad(CertificateError::BadEncoding);
    };
    let validity = &certificate.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return bad(CertificateError::NotValidYet);
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return bad(CertificateError::Expired);
    }
    Ok(())
}

/// The handshake failed: kept apart from other input and output, so that the
/// error can be told from an unreachable server.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Handshake(pub(crate) String);

impl<S> MakeTlsConnect<S> for MakeTls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type TlsConnect = Connect;
    type Error = Handshake;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Connect, Handshake> {
        // A socket has no name, and no TLS either: the name is not looked at.
        let name = if domain.is_empty() { "localhost" } else { domain };
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| Handshake("the host's name is none that a certificate can have".into()))?;
        Ok(Connect { connector: TlsConnector::from(Arc::clone(&self.0)), name })
    }
}

/// One handshake.
pub(crate) struct Connect {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl<S> TlsConnect<S> for Connect
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type Error = Handshake;
    type Future = Pin<Box<dyn Future<Output = Result<Stream<S>, Handshake>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let stream = self.connector.connect(self.name, stream).await;
            stream.map(|stream| Stream(Box::new(stream))).map_err(|error| Handshake(error.to_string()))
        })
    }
}

/// The connection once it is encrypted.
pub(crate) struct Stream<S>(Box<tokio_rustls::client::TlsStream<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let certificates = self.0.get_ref().1.peer_certificates();
        certificates
            .and_then(|chain| end_point(chain.first()?))
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// `tls-server-end-point` (RFC 5929, section 4.1): the certificate's hash, by the
/// hash of its signature, SHA-256 for what is older.
fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    const MD5_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4");
    const SHA1_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5");
    const SHA256_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
    const SHA384_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
    const SHA512_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
    const SHA1_ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.1");
    const SHA256_ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
    const SHA384_ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
    const SHA512_ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
    let parsed = x509_cert::Certificate::from_der(certificate).ok()?;
    let algorithm = match parsed.signature_algorithm.oid {
        MD5_RSA | SHA1_RSA | SHA256_RSA | SHA1_ECDSA | SHA256_ECDSA => &digest::SHA256,
        SHA384_RSA | SHA384_ECDSA => &digest::SHA384,
        SHA512_RSA | SHA512_ECDSA => &digest::SHA512,
        // Without a hash of its own (Ed25519) there is no binding, as in libpq.
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}
