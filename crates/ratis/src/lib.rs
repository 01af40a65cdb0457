//! Ratis on the wire: server, client and admin services and their clients.
