//! The recipes: backup, restore, dump.
