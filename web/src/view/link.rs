//! An address under which a file can be saved.

/// An object URL: `revoke` hears of it once no state shows it any more.
#[derive(Debug)]
pub struct Link {
    /// The address.
    pub url: String,
    /// Gives it up, and with it what it names.
    pub revoke: fn(&str),
}

impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        (self.revoke)(&self.url);
    }
}
