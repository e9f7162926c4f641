//! Environment details as coarse classes. What comes out is one of a closed list of words, never text that went in.

use serde::Serialize;

/// A detail of what a node runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trait {
    /// The browser's user agent, or the program's name.
    UserAgent,
    /// Operating system.
    Platform,
    /// Name of the graphics processor, as WebGL or WebGPU tells it.
    Gpu,
    /// Name of the processor.
    Cpu,
    /// Language and region, `de-AT`.
    Locale,
    /// Anything else: it becomes `other`.
    Other,
}

impl Trait {
    /// Returns the class of `text`: the first word of this trait's list with a mark in it, or `other`. O(n).
    pub fn class(self, text: &str) -> &'static str {
        let text = text.to_ascii_lowercase();
        let lists = match self {
            Self::UserAgent => USER_AGENTS,
            Self::Platform => PLATFORMS,
            Self::Gpu => GPUS,
            Self::Cpu => CPUS,
            Self::Locale => {
                let language = text.split(['-', '_', '.']).next().unwrap_or_default();
                let known = LANGUAGES.iter().find(|known| **known == language);
                return known.copied().unwrap_or(OTHER);
            }
            Self::Other => return OTHER,
        };
        let has_mark = |(_, marks): &&(&str, &[&str])| marks.iter().any(|mark| text.contains(mark));
        lists
            .iter()
            .find(has_mark)
            .map_or(OTHER, |(class, _)| class)
    }
}

/// The class of what is in no list.
pub const OTHER: &str = "other";

type List = &'static [(&'static str, &'static [&'static str])];

/// Engines, by the tokens of their user agents; first those whose text also has the tokens of others.
const USER_AGENTS: List = &[
    ("firefox", &["firefox/", "fxios/"]),
    ("chromium", &["chrome/", "chromium/", "crios/", "edg/"]),
    ("safari", &["safari/", "applewebkit/"]),
    ("node", &["node", "deno", "bun/", "chorus"]),
];
/// Phones first: Android is a Linux, and iPhones say "like Mac OS X".
const PLATFORMS: List = &[
    ("mobile", &["android", "iphone", "ipad", "ios"]),
    ("windows", &["windows", "win32", "win64"]),
    ("mac", &["mac", "darwin"]),
    ("linux", &["linux", "x11", "bsd"]),
];
const GPUS: List = &[
    ("software", &["swiftshader", "llvmpipe", "software"]),
    ("nvidia", &["nvidia", "geforce", "quadro"]),
    ("amd", &["amd", "radeon"]),
    ("intel", &["intel", "iris"]),
    ("apple", &["apple"]),
    ("mobile", &["adreno", "mali", "powervr", "xclipse"]),
];
const CPUS: List = &[
    ("arm", &["arm", "aarch64", "apple", "snapdragon", "cortex"]),
    ("x86", &["intel", "amd", "x86", "ryzen", "xeon", "i686"]),
    ("riscv", &["riscv"]),
];
/// Languages with more than 70 million speakers online. Source: the list of the scrubber's four, and the next in size;
/// a smaller language would single out its speaker.
const LANGUAGES: &[&str] = &[
    "en", "de", "fr", "es", "zh", "pt", "ar", "ja", "ru", "id", "hi", "ko",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_become_words_of_a_closed_list() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.7390.54 Safari/537.36";
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";
        for (of, text, class) in [
            (Trait::UserAgent, chrome, "chromium"),
            (Trait::UserAgent, iphone, "safari"),
            (
                Trait::UserAgent,
                "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0",
                "firefox",
            ),
            (Trait::Platform, iphone, "mobile"),
            (Trait::Platform, chrome, "linux"),
            (
                Trait::Gpu,
                "ANGLE (NVIDIA, NVIDIA GeForce RTX 4090 (0x2684), OpenGL 4.6)",
                "nvidia",
            ),
            (
                Trait::Cpu,
                "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz",
                "x86",
            ),
            (Trait::Locale, "de-AT", "de"),
            (Trait::Locale, "rm-CH", OTHER),
            (Trait::Other, "serial 4711", OTHER),
            (Trait::Gpu, "", OTHER),
        ] {
            assert_eq!(of.class(text), class, "{text}");
        }
    }
}
