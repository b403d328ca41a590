// The JavaScript SDK goes here.
