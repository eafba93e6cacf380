"""Do the locators of single facts find the same units for a rewritten prompt?"""
