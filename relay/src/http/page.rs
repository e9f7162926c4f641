//! The files of the page: from the binary, or from a directory in development.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::PathBuf,
};

use axum::body::Bytes;

/// Where the page's files come from.
#[derive(Clone, Debug)]
pub(crate) enum Page {
    /// In the binary (feature `embed`).
    Embedded(HashMap<&'static str, (&'static [u8], String)>),
    /// Read from this directory at every request, so that a rebuilt page shows on reload.
    Directory(PathBuf),
}

/// One file as it is sent.
#[derive(Debug)]
pub(crate) struct PageFile {
    /// The bytes, compressed if `is_brotli`.
    pub(crate) bytes: Bytes,
    /// Strong validator, quoted.
    pub(crate) etag: String,
    /// Media type.
    pub(crate) mime: &'static str,
    /// The bytes are compressed.
    pub(crate) is_brotli: bool,
    /// The name carries a hash of the content, so the content never changes.
    pub(crate) is_immutable: bool,
}

impl Page {
    /// The page in the binary, if it was built with one.
    pub(crate) fn embedded() -> Option<Self> {
        let files = EMBEDDED
            .iter()
            .map(|(name, bytes)| (*name, (*bytes, etag_of(bytes))))
            .collect::<HashMap<_, _>>();
        (!files.is_empty()).then_some(Self::Embedded(files))
    }

    /// The file at the request path `path`, compressed if there is a compressed copy and the client takes it.
    ///
    /// # Errors
    /// The file is there but cannot be read, or is longer than 64 MiB.
    pub(crate) async fn file(
        &self,
        path: &str,
        accepts_brotli: bool,
    ) -> io::Result<Option<PageFile>> {
        let Some(name) = file_name(path) else {
            return Ok(None);
        };
        if accepts_brotli && let Some((bytes, etag)) = self.read(&format!("{name}.br")).await? {
            return Ok(Some(page_file(name, bytes, etag, true)));
        }
        let found = self.read(name).await?;
        Ok(found.map(|(bytes, etag)| page_file(name, bytes, etag, false)))
    }

    async fn read(&self, name: &str) -> io::Result<Option<(Bytes, String)>> {
        match self {
            Self::Embedded(files) => Ok(files
                .get(name)
                .map(|(bytes, etag)| (Bytes::from_static(bytes), etag.clone()))),
            Self::Directory(dir) => {
                let path = dir.join(name);
                match tokio::fs::metadata(&path).await {
                    Ok(metadata) if !metadata.is_file() => return Ok(None),
                    Ok(metadata) if metadata.len() > MAX_FILE_BYTES => {
                        return Err(io::Error::other(format!(
                            "{name} must be at most {MAX_FILE_BYTES} bytes"
                        )));
                    }
                    Ok(_) => {}
                    Err(error) if is_absent(&error) => return Ok(None),
                    Err(error) => return Err(error),
                }
                let bytes = tokio::fs::read(&path).await?;
                let etag = etag_of(&bytes);
                Ok(Some((bytes.into(), etag)))
            }
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn page_file(name: &str, bytes: Bytes, etag: String, is_brotli: bool) -> PageFile {
    PageFile {
        bytes,
        etag,
        mime: mime_of(name),
        is_brotli,
        is_immutable: has_hash(name),
    }
}

/// The file that a request path names; `None` for everything that could leave the directory or is not served.
fn file_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix('/')?;
    if name.is_empty() {
        return Some("index.html");
    }
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_./".contains(&c);
    let segment_ok = |segment: &str| !segment.is_empty() && !segment.starts_with('.');
    (name.len() <= MAX_NAME && name.bytes().all(plain) && name.split('/').all(segment_ok))
        .then_some(name)
}

/// Media types of the files that the page is made of. Source: WHATWG MIME Sniffing; `application/wasm` is what lets
/// browsers compile while they download (WebAssembly Web API, "Streaming Module Compilation").
fn mime_of(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "ts" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Whether a part of the name between `.`, `-` or `_` is a hash: eight or more hexadecimal digits, one of them a digit.
fn has_hash(name: &str) -> bool {
    name.split(['.', '-', '_', '/']).any(|part| {
        part.len() >= 8
            && part.bytes().all(|c| c.is_ascii_hexdigit())
            && part.bytes().any(|c| c.is_ascii_digit())
    })
}

/// A validator that changes with the content. It is no checksum against an attacker; the same build gives the same one.
fn etag_of(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Name and content of each file of the page; empty without feature `embed`.
static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page_files.rs"));
/// Longest file served from a directory, bytes. Guess: ten times an unoptimised wasm module.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Longest name. Guess: our own names have under 40 characters.
const MAX_NAME: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_inside_the_page_are_served() {
        assert_eq!(file_name("/"), Some("index.html"));
        assert_eq!(file_name("/icons/a-1.svg"), Some("icons/a-1.svg"));
        for path in [
            "",
            "x",
            "//",
            "/../Cargo.toml",
            "/a/../b",
            "/.git/config",
            "/a//b",
            "/a/",
            "/%2e%2e/x",
            "/a\\b",
            "/a\0",
        ] {
            assert_eq!(file_name(path), None, "{path:?}");
        }
    }

    #[test]
    fn hashed_names_are_told_from_ordinary_ones() {
        assert!(has_hash("chorus_web_bg-0a1b2c3d4e5f.wasm"));
        assert!(has_hash("style.0123abcd.css"));
        for name in [
            "chorus.js",
            "chorus_web_bg.wasm",
            "deadbeef.js",
            "style.css",
            "a1.js",
        ] {
            assert!(!has_hash(name), "{name}");
        }
    }

    #[test]
    fn wasm_has_the_type_that_streaming_compilation_needs() {
        assert_eq!(mime_of("chorus_web_bg.wasm"), "application/wasm");
        assert_eq!(mime_of("chorus.js"), "text/javascript; charset=utf-8");
    }

    #[tokio::test]
    async fn the_compressed_copy_is_sent_only_to_those_who_take_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.js"), "plain").unwrap();
        std::fs::write(dir.path().join("a.js.br"), "compressed").unwrap();
        let page = Page::Directory(dir.path().to_path_buf());
        let plain = page.file("/a.js", false).await.unwrap().unwrap();
        let compressed = page.file("/a.js", true).await.unwrap().unwrap();
        assert_eq!((&*plain.bytes, plain.is_brotli), (&b"plain"[..], false));
        assert_eq!(
            (&*compressed.bytes, compressed.is_brotli),
            (&b"compressed"[..], true)
        );
        assert_eq!(compressed.mime, "text/javascript; charset=utf-8");
        assert_ne!(plain.etag, compressed.etag);
        assert!(page.file("/b.js", true).await.unwrap().is_none());
        assert!(page.file("/a.js/x", true).await.unwrap().is_none());
    }
}
