"""Who somebody is, as others know it: providers of tokens, directories and programs outside."""
