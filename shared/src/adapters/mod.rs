//! The ports' implementations for the real world.
