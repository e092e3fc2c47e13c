"""From a configuration file to a run: the file, the parts it names, the run and the enumeration made of them."""
