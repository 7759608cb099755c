"""The pocket benchmark: does a method help? A first answer within a minute on two cores."""
