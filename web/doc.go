// Package web answers: what do people see?
package web
