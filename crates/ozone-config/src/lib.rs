//! ozone-site.xml and its values: loading, expansion, units, errors.
