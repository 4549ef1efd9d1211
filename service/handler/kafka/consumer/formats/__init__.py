"""Message formats: from the bytes and headers of a record to the document in it."""
