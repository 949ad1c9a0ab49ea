package template
