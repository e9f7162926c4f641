//! PNG (W3C PNG, third edition, section 5): what describes the picture rather than drawing it is taken out. What the picture
//! shows is not looked at, and checksums are not verified.

use alloc::string::String;

use super::Picture;

/// Whether `content` says that it is a PNG.
pub(super) fn is_png(content: &[u8]) -> bool {
    content.starts_with(SIGNATURE)
}

/// Reads a PNG. `None` where its chunks do not add up.
pub(super) fn read(content: &[u8]) -> Option<Picture> {
    let mut picture = Picture::new("png", content.len());
    picture.keep(content.get(..SIGNATURE.len())?);
    let mut at = SIGNATURE.len();
    let mut is_first = true;
    loop {
        let head: &[u8; 8] = content.get(at..)?.first_chunk()?;
        let [a, b, c, d, kind @ ..] = *head;
        // Length, type, data, checksum.
        let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        let end = at.checked_add(12)?.checked_add(len)?;
        let chunk = content.get(at..end)?;
        let is_head = is_first && (kind != *b"IHDR" || len != 13);
        let is_end = kind == *b"IEND" && len != 0;
        if !kind.iter().all(u8::is_ascii_alphabetic) || is_head || is_end {
            return None;
        }
        is_first = false;
        if draws(&kind, len) {
            picture.keep(chunk);
        } else {
            let data = chunk.get(8..8 + len)?;
            picture.drop_entry(key(&kind, data));
        }
        at = end;
        if kind == *b"IEND" {
            break;
        }
    }
    picture.finish(content.get(at..)?);
    Some(picture)
}

/// Whether a chunk of `len` bytes is needed to draw the picture, and has no room for anything else.
fn draws(kind: &[u8; 4], len: usize) -> bool {
    DRAWING.iter().any(|(one, max)| *one == kind && len <= *max)
}

/// The name of an entry: the chunk's type, and the keyword of a text.
fn key(kind: &[u8; 4], data: &[u8]) -> String {
    let mut key: String = kind.iter().copied().map(char::from).collect();
    if TEXTS.contains(&kind) {
        let keyword = data.iter().take(MAX_KEYWORD).take_while(|byte| **byte != 0);
        let keyword = keyword.map(|byte| char::from(*byte));
        key.push(' ');
        key.extend(keyword.filter(|c| !c.is_control()));
    }
    key
}

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// What stays: the picture, and how to draw it (colours, transparency, sizes of pixels, animation), with the bytes that it may
/// have. Profiles of colours (iCCP) go: they name devices and their makers. Source: sections 11.2 and 11.3.
const DRAWING: [(&[u8; 4], usize); 14] = [
    (b"IHDR", 13),
    (b"PLTE", 768),
    (b"IDAT", usize::MAX),
    (b"IEND", 0),
    (b"tRNS", 256),
    (b"cHRM", 32),
    (b"gAMA", 4),
    (b"sRGB", 1),
    (b"cICP", 4),
    (b"bKGD", 6),
    (b"pHYs", 9),
    (b"acTL", 8),
    (b"fcTL", 26),
    (b"fdAT", usize::MAX),
];
const TEXTS: [&[u8; 4]; 3] = [b"tEXt", b"zTXt", b"iTXt"];
/// Bytes of a keyword. Source: section 11.3.3.2.
const MAX_KEYWORD: usize = 79;
