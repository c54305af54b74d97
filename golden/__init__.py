"""Reference arrays made by software other than nitrix, and what compares nitrix with them (docs: golden/README.md)."""
