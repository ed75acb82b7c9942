"""The `zahlwerk` command. Thin: words in, words out; what to do stands below."""
