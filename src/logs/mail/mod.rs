//! Mail-server formats: one file a product, and the one list that names them. To come.
