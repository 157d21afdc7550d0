"""Evidence: what a text holds or hides. Findings never permit; rules and the manifest say what they mean."""
