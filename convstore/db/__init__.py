"""SQL, and the only folder that imports SQLAlchemy."""
