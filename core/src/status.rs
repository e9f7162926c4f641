//! How a node is doing, in the five categories that people see.

/// The status bar's categories. Never shown by colour alone: each has a word and a shape too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// Green: connected, idle and ready.
    Ready,
    /// White: connected, with a proven, high reputation.
    Proven,
    /// Red: busy moving or merging something.
    Busy,
    /// Gray: no connection to anyone.
    Offline,
    /// Yellow: not known yet.
    Unknown,
}

/// A node's own state at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The category shown.
    pub category: Category,
    /// Peers reached directly that are no relays.
    pub members: usize,
    /// Peers reached only through a circuit.
    pub relayed: usize,
    /// Relays connected.
    pub relays: usize,
    /// Fetches under way.
    pub fetches: usize,
    /// Packets known.
    pub packets: usize,
}
