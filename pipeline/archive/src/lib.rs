//! What a stored night is: names, manifests, records.
