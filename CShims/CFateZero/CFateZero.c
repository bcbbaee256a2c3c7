// A C target needs a source file; this one is its header.
