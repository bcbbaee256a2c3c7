"""How well edits of Toy World clips turn out, method by method, measured against the ideal edit."""
