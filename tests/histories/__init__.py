"""Histories of an optimizer: random wrappers, trees and actions, and what must hold after each.

A history is data: the text of an optimizer, the text of a tree of parameters, and a list of
actions. History number N depends on N alone, so a run of a hundred thousand is resumed at any
number, and a failure is named by one; neighbours share an optimizer and so its compiled programs. A
fuzzer whose examples depend on those before them (Hypothesis' stateful machine) has neither.
"""
