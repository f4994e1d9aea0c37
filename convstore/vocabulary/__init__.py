"""The words of the domain: records, errors, limits, settings. No technology."""
