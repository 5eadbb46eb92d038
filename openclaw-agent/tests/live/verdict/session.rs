//! A TCP session across the cable, whose fate is told by what arrives.

use std::io::ErrorKind;

use crate::support::PATIENCE;
use crate::support::helper::{Helper, Remote};
use crate::support::network::Cable;
use crate::support::socket::{MOMENT, Socket};

/// A session between a helper and the far side.
pub(super) struct Session {
    near: Remote,
    far: Socket,
}

impl Session {
    /// One that works.
    #[track_caller]
    pub(super) fn new(cable: &Cable, helper: &mut Helper) -> Self {
        let listener = cable.far.inside(|| Socket::listen(cable.far.v4(0)).unwrap());
        let near = helper.connect_tcp(listener.address()).unwrap();
        let session = Session { near, far: listener.accept(PATIENCE).unwrap() };
        session.assert_open(helper);
        session
    }

    /// Something gets through, both ways.
    #[track_caller]
    pub(super) fn assert_open(&self, helper: &mut Helper) {
        helper.send(self.near, "out").unwrap();
        self.far.send("in").unwrap();
        self.assert_restored(helper);
    }

    /// Nothing gets through, either way.
    #[track_caller]
    pub(super) fn assert_cut(&self, helper: &mut Helper) {
        let _ = helper.send(self.near, "out");
        self.far.send("in").unwrap();
        assert_eq!(self.far.receive(MOMENT).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(helper.receive(self.near, MOMENT).unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    /// What was held back arrives, both ways.
    #[track_caller]
    pub(super) fn assert_restored(&self, helper: &mut Helper) {
        assert_eq!(self.far.receive(PATIENCE).unwrap(), "out");
        assert_eq!(helper.receive(self.near, PATIENCE).unwrap(), "in");
    }
}
