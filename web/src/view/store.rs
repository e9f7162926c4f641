//! Holds the state and tells whoever watches when it changed.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
};

use super::state::{Action, State};

/// Called with the state after it changed.
pub type Watcher = Rc<dyn Fn(Rc<State>)>;

/// The state of one peer's page, shared by the peer that changes it and the views that show it.
#[derive(Default)]
pub struct Store {
    state: RefCell<Rc<State>>,
    watchers: RefCell<Vec<(u64, Watcher)>>,
    next: Cell<u64>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("watchers", &self.watchers.borrow().len())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Returns the state.
    pub fn state(&self) -> Rc<State> {
        self.state.borrow().clone()
    }

    /// Changes the state; watchers hear of it when [`Store::notify`] is called.
    pub fn apply(&self, action: Action) {
        let next = self.state.borrow().after(action);
        *self.state.borrow_mut() = Rc::new(next);
    }

    /// Tells every watcher.
    pub fn notify(&self) {
        let watchers: Vec<Watcher> = self
            .watchers
            .borrow()
            .iter()
            .map(|(_, w)| w.clone())
            .collect();
        for watcher in watchers {
            watcher(self.state());
        }
    }

    /// Watches until [`Store::unwatch`] is called with the number returned.
    pub fn watch(&self, watcher: Watcher) -> u64 {
        let id = self.next.get();
        self.next.set(id + 1);
        self.watchers.borrow_mut().push((id, watcher));
        id
    }

    /// Ends watching.
    pub fn unwatch(&self, id: u64) {
        self.watchers.borrow_mut().retain(|(known, _)| *known != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watcher_hears_of_changes_until_it_ends() {
        let store = Store::default();
        let heard = Rc::new(Cell::new(0));
        let count = heard.clone();
        let id = store.watch(Rc::new(move |_| count.set(count.get() + 1)));
        store.apply(Action::Noticed("x".into()));
        store.notify();
        store.unwatch(id);
        store.notify();
        assert_eq!(heard.get(), 1);
        assert_eq!(store.state().notice.as_deref(), Some("x"));
    }
}
