//! What goes wrong on the way, and what is left then.
