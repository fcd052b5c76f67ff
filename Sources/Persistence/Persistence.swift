// Repositories join with the database client.
