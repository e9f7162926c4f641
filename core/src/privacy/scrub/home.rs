//! Paths that name a person: what stands below the directory of everybody's directories.

use super::text::{Text, is_blank, is_word};
use super::{Candidate, Kind};

/// Returns the path whose part from `start` to `end` is `home`, `Users` or the like.
pub(super) fn find(text: &Text, start: usize, end: usize) -> Option<Candidate> {
    if !is_rooted(text, start, end) {
        return None;
    }
    let slash = text.byte(end);
    let mut name = end;
    // A backslash is doubled inside a string.
    while text.byte(name) == slash && name - end < 3 {
        name += 1;
    }
    let name_end = part_end(text, name);
    let user = text.bytes.get(name..name_end)?;
    let shared = SHARED
        .iter()
        .any(|shared| shared.eq_ignore_ascii_case(user));
    if user.is_empty() || shared || !is_word(user[0]) {
        return None;
    }
    let mut path_end = name_end;
    while text.byte(path_end) == slash && path_end - start < MAX_PATH {
        let next = path_end + 1;
        path_end = part_end(text, next).max(next);
    }
    while matches!(text.before(path_end), b'.' | b',' | b';' | b':' | b')') {
        path_end -= 1;
    }
    let start = root(text, start);
    text.work(path_end - start);
    Some(Candidate {
        kind: Kind::UserPath,
        label: "path with a user",
        start,
        end: path_end,
        confidence: 90,
    })
}

/// Returns the end of the path's part at `at`. A blank belongs to it where the part goes on to another slash.
fn part_end(text: &Text, at: usize) -> usize {
    let is_part =
        |byte: u8| !is_blank(byte) && byte != 0 && !b"/\\\"'<>|*?;,()[]{}`:".contains(&byte);
    let mut end = at;
    while end < text.bytes.len() && end - at < MAX_PART && is_part(text.byte(end)) {
        end += 1;
    }
    // `C:\Users\Jean Dupont\…`: only backslashes have names with blanks.
    if text.before(at) == b'\\' && text.byte(end) == b' ' && text.byte(end + 1).is_ascii_uppercase()
    {
        let mut longer = end + 1;
        while longer - at < MAX_PART && (is_part(text.byte(longer)) || text.byte(longer) == b' ') {
            longer += 1;
        }
        if text.byte(longer) == b'\\' {
            return longer;
        }
    }
    end
}

/// Returns where the path begins: the slash before `at`, or a drive or scheme before that.
fn root(text: &Text, at: usize) -> usize {
    let mut start = at;
    while at - start < MAX_PART
        && (is_word(text.before(start))
            || matches!(
                text.before(start),
                b'/' | b'\\' | b':' | b'.' | b'-' | b'_' | b'$' | b'~'
            ))
    {
        start -= 1;
    }
    start
}

/// Returns whether the directory from `start` to `end` stands where systems have it: at a root, a drive, a mount.
fn is_rooted(text: &Text, start: usize, end: usize) -> bool {
    let is_slash = |byte: u8| matches!(byte, b'/' | b'\\');
    let lead = text.bytes.get(root(text, start)..start).unwrap_or_default();
    let slashes = lead
        .iter()
        .rev()
        .take_while(|byte| is_slash(**byte))
        .count();
    let head = &lead[..lead.len() - slashes];
    let is_drive = matches!(head, [letter, b':'] | [.., b'/' | b':', letter, b':'] if letter.is_ascii_alphabetic())
        || matches!(head, [b'/', letter] | [b'/', b'm', b'n', b't', b'/', letter] if letter.is_ascii_alphabetic());
    if is_drive || text.before(start) == b'\\' && (head.is_empty() || is_slash(head[0])) {
        return true;
    }
    let name = text.bytes.get(start..end).unwrap_or_default();
    let is_exact = name == b"home" || name == b"Users";
    let is_web = matches!(
        head,
        [.., b'h', b't', b't', b'p', b':'] | [.., b'h', b't', b't', b'p', b's', b':']
    );
    let mounts = [
        &b"/export"[..],
        b"/usr",
        b"/var",
        b"/data",
        b"/nfs",
        b"/System/Volumes/Data",
    ];
    let is_root = match head {
        [] => true,
        // A list of paths, a place in a file, an option of a compiler, a machine's disk.
        [.., b':'] => !is_web,
        [b'-', _] => true,
        _ => mounts.contains(&head),
    };
    is_exact && is_root
}

/// Directories that belong to nobody.
const SHARED: [&[u8]; 8] = [
    b"public",
    b"default",
    b"shared",
    b"all",
    b"runner",
    b"user",
    b"username",
    b"linuxbrew",
];
/// Bytes of a path and of one part: POSIX's PATH_MAX and NAME_MAX.
const MAX_PATH: usize = 4096;
const MAX_PART: usize = 255;
