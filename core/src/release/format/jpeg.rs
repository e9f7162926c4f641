//! JPEG (ITU-T T.81, annex B): segments that describe the picture rather than drawing it are taken out, Exif's orientation
//! among them. What the picture shows is not looked at.

use alloc::format;

use super::Picture;

/// Whether `content` says that it is a JPEG.
pub(super) fn is_jpeg(content: &[u8]) -> bool {
    content.starts_with(&[0xff, 0xd8, 0xff])
}

/// Reads a JPEG. `None` where its segments do not add up.
pub(super) fn read(content: &[u8]) -> Option<Picture> {
    let mut picture = Picture::new("jpeg", content.len());
    picture.keep(content.get(..2)?);
    let mut at = 2;
    loop {
        let start = at;
        if *content.get(at)? != 0xff {
            return None;
        }
        // A marker may follow any number of fill bytes.
        while *content.get(at)? == 0xff {
            at += 1;
        }
        let marker = *content.get(at)?;
        at += 1;
        match marker {
            // The end.
            0xd9 => {
                picture.keep(content.get(start..at)?);
                break;
            }
            // Restarts stand inside scans; a second beginning, or nothing, has no place.
            0x00 | 0xd0..=0xd8 => return None,
            0x01 => {
                picture.keep(content.get(start..at)?);
                continue;
            }
            _ => {}
        }
        let len = content.get(at..)?.first_chunk().copied();
        let len = usize::from(u16::from_be_bytes(len?));
        let end = at.checked_add(len)?;
        // The length counts itself.
        let data = content.get(at.checked_add(2)?..end)?;
        at = end;
        if marker == 0xda {
            at = scan_end(content, at)?;
        }
        match kept(marker, data) {
            Kept::All => picture.keep(content.get(start..at)?),
            Kept::WithoutThumbnail => {
                picture.keep(&[0xff, 0xe0, 0, 16]);
                picture.keep(data.get(..12)?);
                picture.keep(&[0, 0]);
                picture.drop_entry("JFIF thumbnail".into());
            }
            Kept::Nothing => picture.drop_entry(name(marker, data)),
        }
    }
    picture.finish(content.get(at..)?);
    Some(picture)
}

enum Kept {
    All,
    WithoutThumbnail,
    Nothing,
}

/// What is needed of a segment to draw the picture.
fn kept(marker: u8, data: &[u8]) -> Kept {
    match marker {
        0xe0 if data.starts_with(b"JFIF\0") && data.len() == 14 => Kept::All,
        0xe0 if data.starts_with(b"JFIF\0") && data.len() > 14 => Kept::WithoutThumbnail,
        // How colours were turned: without it they come out wrong.
        0xee if data.starts_with(b"Adobe") && data.len() == 12 => Kept::All,
        // Frames, scans and their tables.
        0xc0..=0xcf | 0xda..=0xdf => Kept::All,
        // Applications' own, comments, and what the standard keeps for later. Profiles of colours name devices.
        _ => Kept::Nothing,
    }
}

fn name(marker: u8, data: &[u8]) -> alloc::string::String {
    let app = marker.saturating_sub(0xe0);
    match marker {
        0xfe => "COM".into(),
        0xe1 if data.starts_with(b"Exif\0") => "APP1 Exif".into(),
        0xe1 if data.starts_with(b"http://ns.adobe.com/") => "APP1 XMP".into(),
        0xe2 if data.starts_with(b"ICC_PROFILE\0") => "APP2 ICC profile".into(),
        0xed => "APP13 Photoshop".into(),
        0xe0..=0xef => format!("APP{app}"),
        _ => format!("segment {marker:02x}"),
    }
}

/// Returns where the coded picture that begins at `at` ends: at the next marker that is no restart.
fn scan_end(content: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let rest = content.get(at..)?;
        at += rest.iter().position(|byte| *byte == 0xff)?;
        match *content.get(at + 1)? {
            0x00 | 0xd0..=0xd7 => at += 2,
            // A fill byte.
            0xff => at += 1,
            _ => return Some(at),
        }
    }
}
