"""The schema: versioned SQL migrations, catalogues, sample data and its importer."""
