package settings

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap/zapcore"
)

// Text is any text but none.
func Text(target *string) Key {
	return Key{Read: func(text string) error {
		if text == "" {
			return errors.New("it is empty")
		}
		*target = text
		return nil
	}}
}

// OneOf is one of some words.
func OneOf(target *string, words ...string) Key {
	return Key{Read: func(text string) error {
		if !slices.Contains(words, text) {
			return fmt.Errorf("it is not one of %s", strings.Join(words, ", "))
		}
		*target = text
		return nil
	}}
}

// AtLeast is a whole number that is not below a least one.
func AtLeast(target *int, least int) Key {
	return Key{Read: func(text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < least {
			return fmt.Errorf("it is not a whole number of at least %d", least)
		}
		*target = n
		return nil
	}}
}

// Positive is a number above 0.
func Positive(target *float64) Key {
	return Key{Read: func(text string) error {
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || !(x > 0) {
			return errors.New("it is not a number above 0")
		}
		*target = x
		return nil
	}}
}

// LogLevel is how much a server writes to its log.
func LogLevel(target *zapcore.Level) Key {
	return Key{Read: func(text string) error {
		var level zapcore.Level
		if err := level.UnmarshalText([]byte(text)); err != nil || level > zapcore.ErrorLevel {
			return errors.New("it is not debug, info, warn or error")
		}
		*target = level
		return nil
	}}
}
